package sqlml;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.QueryContext;
import org.apache.spark.SparkRuntimeException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.And;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.Cast;
import org.apache.spark.sql.catalyst.expressions.CommonExpressionDef;
import org.apache.spark.sql.catalyst.expressions.CommonExpressionRef;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.Or;
import org.apache.spark.sql.catalyst.expressions.RuntimeReplaceable;
import org.apache.spark.sql.catalyst.expressions.With;
import org.apache.spark.sql.catalyst.parser.ParameterContext;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.parser.SqlStatementSplitResult;
import org.apache.spark.sql.catalyst.parser.TemporalIdentifier;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.classic.Dataset;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.ExternalCommandRunner;
import org.apache.spark.sql.execution.ExplainMode;
import org.apache.spark.sql.execution.command.ExplainCommand;
import org.apache.spark.sql.execution.command.ExternalCommandExecutor;
import org.apache.spark.sql.internal.SessionState;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.apache.spark.unsafe.types.UTF8String;
import scala.Function1;
import scala.Function2;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.immutable.Map;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractFunction2;
import scala.util.Failure;

/**
 * The part of sqlml that has to be Java: what Spark's driver calls, in front of Python functions.
 *
 * Compiled in the driver by Janino, the compiler of Spark's own code generation. Python functions
 * are scala.Function1 proxies. One that cannot answer returns a Refusal or a Throwable instead of
 * raising, since an exception that leaves a Python callback reaches the user as a traceback.
 */
public final class Bridge {
  private Function1 jdbcErrors;

  /** How errors look to clients of the Thrift server: a function from message to Throwable. */
  public void useForJdbc(Function1 errors) {
    jdbcErrors = errors;
  }

  // --- errors ----------------------------------------------------------------------------

  /** An error for the user, in the place of a result. */
  public Object refusal(String condition, String message) {
    return new Refusal(condition, message);
  }

  private static final class Refusal {
    final String condition;
    final String message;

    Refusal(String condition, String message) {
      this.condition = condition;
      this.message = message;
    }
  }

  /**
   * Let Hive take its own functions for registered: Spark has those, and Hive's need more jars.
   *
   * Now and then a session is closed by a thread that has no client of the metastore. Hive makes
   * one then, registers its functions with it, and the close fails with a NoClassDefFoundError.
   */
  public void leaveHivesFunctionsOut() throws Exception {
    Class hive = Class.forName("org.apache.hadoop.hive.ql.metadata.Hive");
    Field registered = hive.getDeclaredField("didRegisterAllFuncs");
    registered.setAccessible(true);
    ((AtomicInteger) registered.get(null)).set(2); // 0: not yet, 1: in the making, 2: done
  }

  private Object call(Function1 python, Object value) {
    Object answer = python.apply(value);
    if (answer instanceof Refusal) {
      answer = exception(((Refusal) answer).condition, ((Refusal) answer).message);
    }
    // Scala's way to throw what a signature does not declare.
    return answer instanceof Throwable ? new Failure((Throwable) answer).get() : answer;
  }

  /** An unchecked error of Spark's with our condition; over JDBC, one that is just its message. */
  public Throwable exception(String condition, String message) {
    if (jdbcErrors != null && overJdbc()) {
      return (Throwable) jdbcErrors.apply(message);
    }
    // The public constructors look the message up in Spark's own list of conditions.
    Constructor[] all = SparkRuntimeException.class.getDeclaredConstructors();
    for (int i = 0; i < all.length; i++) {
      Class[] takes = all[i].getParameterTypes();
      if (takes.length == 6 && takes[0] == String.class && takes[2] == Option.class) {
        all[i].setAccessible(true);
        Object noParameters = scala.collection.immutable.Map$.MODULE$.empty();
        Object[] given = {
          message, Option.empty(), Option.apply(condition), noParameters, new QueryContext[0],
          Option.empty()
        };
        try {
          return (Throwable) all[i].newInstance(given);
        } catch (Exception e) {
          return e;
        }
      }
    }
    return new IllegalStateException("SparkRuntimeException has no constructor for a message");
  }

  private static boolean overJdbc() {
    StackTraceElement[] frames = new Throwable().getStackTrace();
    for (int i = 0; i < frames.length; i++) {
      if (frames[i].getClassName().startsWith("org.apache.spark.sql.hive.thriftserver.")) {
        return true;
      }
    }
    return false;
  }

  // --- text ------------------------------------------------------------------------------

  // py4j sends Python a text of more than 8,192 bytes in two packets, and the second waits some
  // 40 ms for the acknowledgement of the first (Nagle's algorithm and a delayed ACK). A piece has
  // characters of at most 4 bytes each.
  private static final int PIECE = 2000;

  /** The text itself, or if it is long the pieces of it. */
  private static Object inPieces(String text) {
    if (text.length() <= PIECE) {
      return text;
    }
    List found = new ArrayList();
    int start = 0;
    while (start < text.length()) {
      int end = Math.min(start + PIECE, text.length());
      if (Character.isHighSurrogate(text.charAt(end - 1)) && end < text.length()) {
        end++;
      }
      found.add(text.substring(start, end));
      start = end;
    }
    return found.toArray(new String[0]);
  }

  /** The schema of a plan as JSON, as Python takes long texts. */
  public Object schema(LogicalPlan plan) {
    return inPieces(plan.schema().json());
  }

  // --- functions -------------------------------------------------------------------------

  /**
   * The builder that a function registry holds: from argument expressions to a plan. Under EXPLAIN
   * it is `noting`, whose answer is `noted`.
   */
  public Function1 builder(Function1 python, Function1 noting) {
    return new Builder(python, noting);
  }

  private final class Builder extends AbstractFunction1 {
    private final Function1 python;
    private final Function1 noting;

    Builder(Function1 python, Function1 noting) {
      this.python = python;
      this.noting = noting;
    }

    public Object apply(Object expressions) {
      Set notes = (Set) NOTES.get();
      if (notes == null) {
        return call(python, expressions);
      }
      Noted found = (Noted) call(noting, expressions);
      notes.addAll(Arrays.asList(found.notes));
      return found.answer;
    }
  }

  // --- EXPLAIN ---------------------------------------------------------------------------

  // What is said about the plan that this thread explains; null where it explains none.
  private static final ThreadLocal NOTES = new ThreadLocal();

  /**
   * A builder's answer with what EXPLAIN shall say about it. Notes come back with the answer, to
   * the thread that asked: whichever thread Python ran in, they cannot end in another query.
   */
  public Object noted(Object answer, String[] notes) {
    return new Noted(answer, notes);
  }

  private static final class Noted {
    final Object answer;
    final String[] notes;

    Noted(Object answer, String[] notes) {
      this.answer = answer;
      this.notes = notes;
    }
  }

  /** Spark's own EXPLAIN, and after it what the builders of our functions had to say. */
  public static final class Explain extends ExplainCommand {
    // Spark copies a plan through its constructor, with the parent's two arguments.
    public Explain(LogicalPlan plan, ExplainMode mode) {
      super(plan, mode);
    }

    public Seq run(org.apache.spark.sql.SparkSession session) {
      Object outer = NOTES.get();
      Set notes = new LinkedHashSet();
      Seq rows;
      NOTES.set(notes);
      try {
        rows = super.run(session); // analyses, optimizes and plans, all in this thread
      } finally {
        NOTES.set(outer);
      }
      if (notes.isEmpty() || rows.size() != 1) { // an error has more rows: its lines
        return rows;
      }
      String text = ((Row) rows.apply(0)).getString(0);
      text += "== Models ==\n" + String.join("\n", notes) + "\n";
      Row row = RowFactory.create(new Object[] {text});
      return CollectionConverters.asScala(Collections.singletonList(row)).toList();
    }

    // Parameters are bound to the plan that is explained.
    public LogicalPlan withTransformedSupervisedPlan(Function1 change) {
      return new Explain((LogicalPlan) change.apply(logicalPlan()), mode());
    }
  }

  private static LogicalPlan explaining(LogicalPlan plan) {
    if (plan.getClass() != ExplainCommand.class) {
      return plan;
    }
    return new Explain(((ExplainCommand) plan).logicalPlan(), ((ExplainCommand) plan).mode());
  }

  // --- what a plan's filters say ---------------------------------------------------------

  // Of each of these a row that comes out is one of the child's, its columns the child's too.
  private static final Set PASSING = names(
      "Deduplicate Distinct Generate GlobalLimit LocalLimit Offset RebalancePartitions Repartition "
          + "RepartitionByExpression ResolvedHint Sample Sort SubqueryAlias Tail View Window");
  private static final Set CONDITIONS = names(
      "EqualTo EqualNullSafe LessThan LessThanOrEqual GreaterThan GreaterThanOrEqual In IsNull "
          + "IsNotNull IsNaN Not");
  // Of literals they are the same whenever they are evaluated: not so for current_date().
  private static final Set ARITHMETIC = names("Add Cast Divide Multiply Subtract UnaryMinus");
  private static final int DEEPEST = 50; // far from the 1,000 levels that JSON may have
  private static final List OTHER = Collections.singletonList("Other");
  private static final ObjectMapper JSON = new ObjectMapper();

  private static Set names(String words) {
    return new LinkedHashSet(Arrays.asList(words.split(" ")));
  }

  /**
   * Conditions that are true for every row of a plan, as JSON: trees of Catalyst's class names,
   *
   *   ["GreaterThan", ["Column", [0], "int"], ["Literal", "int", "60"]]
   *
   * where a column stands with its places in the plan's output. What is of no use is ["Other"].
   */
  public Object conditions(LogicalPlan plan) throws JsonProcessingException {
    List found = new ArrayList();
    if (plan.resolved()) {
      HashMap places = new HashMap();
      int place = 0;
      for (Iterator each = plan.output().iterator(); each.hasNext(); place++) {
        ExprId id = ((NamedExpression) each.next()).exprId();
        put(places, id, Collections.singletonList(Integer.valueOf(place)));
      }
      collect(plan, places, found);
    }
    return inPieces(JSON.writeValueAsString(found));
  }

  private static void put(HashMap places, ExprId id, List more) {
    List all = new ArrayList(more);
    if (places.containsKey(id)) {
      all.addAll((List) places.get(id));
    }
    places.put(id, all);
  }

  /** Goes down from a plan as long as its columns, by their identities, are those of `places`. */
  private static void collect(LogicalPlan plan, HashMap places, List found) {
    if (plan instanceof Filter) {
      found.add(tree(((Filter) plan).condition(), places, new HashMap(), 0));
      collect(((Filter) plan).child(), places, found);
    } else if (plan instanceof Project) {
      collect(((Project) plan).child(), below(((Project) plan).projectList(), places), found);
    } else if (plan instanceof Aggregate) { // a column alone is one that is grouped by
      Seq columns = ((Aggregate) plan).aggregateExpressions();
      collect(((Aggregate) plan).child(), below(columns, places), found);
    } else if (plan instanceof Join) {
      Join join = (Join) plan;
      String kind = join.joinType().sql();
      boolean inner = kind.equals("INNER") || kind.equals("CROSS");
      if (inner && join.condition().isDefined()) {
        found.add(tree((Expression) join.condition().get(), places, new HashMap(), 0));
      }
      if (inner || kind.equals("LEFT OUTER") || kind.equals("LEFT SEMI")
          || kind.equals("LEFT ANTI")) {
        collect((LogicalPlan) join.left(), below(((LogicalPlan) join.left()).output(), places),
            found);
      }
      if (inner || kind.equals("RIGHT OUTER")) {
        collect((LogicalPlan) join.right(), below(((LogicalPlan) join.right()).output(), places),
            found);
      }
    } else if (PASSING.contains(plan.getClass().getSimpleName())) {
      collect((LogicalPlan) plan.children().apply(0), places, found);
    }
  }

  /** The places of the columns from which named expressions are taken as they are. */
  private static HashMap below(Seq columns, HashMap places) {
    HashMap found = new HashMap();
    for (Iterator each = columns.iterator(); each.hasNext(); ) {
      Object column = each.next();
      List at = (List) places.get(((NamedExpression) column).exprId());
      if (at != null) {
        Object from = column instanceof Alias ? ((Alias) column).child() : column;
        while (from instanceof Cast && type((Expression) from).equals(type(((Cast) from).child()))) {
          from = ((Cast) from).child(); // a view casts to what its columns are
        }
        if (from instanceof AttributeReference) {
          put(found, ((AttributeReference) from).exprId(), at);
        }
      }
    }
    return found;
  }

  private static String type(Expression expression) {
    return expression.dataType().catalogString(); // its JSON has no collation
  }

  private static List tree(Expression expression, HashMap places, HashMap common, int depth) {
    String kind = expression.getClass().getSimpleName();
    if (depth > DEEPEST) {
      return OTHER;
    }
    if (expression instanceof AttributeReference) {
      Object at = places.get(((AttributeReference) expression).exprId());
      boolean use = at != null && !padded((AttributeReference) expression);
      return use ? Arrays.asList(new Object[] {"Column", at, type(expression)}) : OTHER;
    }
    if (constant(expression)) {
      return literal(expression);
    }
    if (expression instanceof Cast) {
      List child = tree(((Cast) expression).child(), places, common, depth + 1);
      return Arrays.asList(new Object[] {kind, type(expression), child});
    }
    if (expression instanceof RuntimeReplaceable) { // BETWEEN
      return tree(((RuntimeReplaceable) expression).replacement(), places, common, depth + 1);
    }
    if (expression instanceof With) {
      for (Iterator each = ((With) expression).defs().iterator(); each.hasNext(); ) {
        CommonExpressionDef meant = (CommonExpressionDef) each.next();
        common.put(meant.id(), meant.child());
      }
      return tree((Expression) ((With) expression).child(), places, common, depth + 1);
    }
    if (expression instanceof CommonExpressionRef) {
      Object meant = common.get(((CommonExpressionRef) expression).id());
      return meant == null ? OTHER : tree((Expression) meant, places, common, depth + 1);
    }
    List found = new ArrayList();
    found.add(kind);
    if (expression instanceof And || expression instanceof Or) {
      List parts = new ArrayList();
      split(expression, expression.getClass(), parts);
      for (int i = 0; i < parts.size(); i++) {
        found.add(tree((Expression) parts.get(i), places, common, depth + 1));
      }
      return found;
    }
    if (!CONDITIONS.contains(kind)) {
      return OTHER;
    }
    for (Iterator each = expression.children().iterator(); each.hasNext(); ) {
      found.add(tree((Expression) each.next(), places, common, depth + 1));
    }
    return found;
  }

  /** The parts of a chain of ANDs, or of ORs, which may be a long one. */
  private static void split(Expression expression, Class kind, List parts) {
    if (expression.getClass() == kind) {
      split((Expression) expression.children().apply(0), kind, parts);
      split((Expression) expression.children().apply(1), kind, parts);
    } else {
      parts.add(expression);
    }
  }

  /** A CHAR(n) column, with whose values Spark compares padded text, which it pads later. */
  private static boolean padded(AttributeReference column) {
    String key = "__CHAR_VARCHAR_TYPE_STRING";
    return column.metadata().contains(key)
        && column.metadata().getString(key).toLowerCase(Locale.ROOT).startsWith("char");
  }

  private static boolean constant(Expression expression) {
    if (!(expression instanceof Literal)
        && !ARITHMETIC.contains(expression.getClass().getSimpleName())) {
      return false;
    }
    for (Iterator each = expression.children().iterator(); each.hasNext(); ) {
      if (!constant((Expression) each.next())) {
        return false;
      }
    }
    return true;
  }

  private static List literal(Expression expression) {
    Object value;
    try {
      value = expression.eval(null);
    } catch (RuntimeException e) { // 1 / 0, which the query meets in its turn
      return OTHER;
    }
    if (value instanceof Float) {
      value = Double.valueOf(((Float) value).doubleValue());
    } else if (value instanceof Decimal) {
      value = ((Decimal) value).toJavaBigDecimal();
    } else if (value instanceof UTF8String
        && !UTF8String.fromString(value.toString()).equals(value)) { // not UTF-8
      return OTHER;
    }
    String text = value == null ? null : value.toString();
    return Arrays.asList(new Object[] {"Literal", type(expression), text});
  }

  // --- statements ------------------------------------------------------------------------

  /**
   * Let `read` see the statements of this session, and of those opened after it, before Spark's
   * parser does. It gives null for what is Spark's, other SQL to parse instead, or a plan; the text
   * comes in pieces.
   */
  public void readStatements(SparkSession session, final Function1 read) throws Exception {
    session.extensions().injectParser(new AbstractFunction2() {
      public Object apply(Object any, Object next) {
        return new Parser((ParserInterface) next, read);
      }
    });
    // This session has its parser already.
    SessionState state = session.sessionState();
    Field field = SessionState.class.getDeclaredField("sqlParser");
    field.setAccessible(true);
    field.set(state, new Parser(state.sqlParser(), read));
  }

  private final class Parser implements ParserInterface {
    private final ParserInterface next;
    private final Function1 read;

    Parser(ParserInterface next, Function1 read) {
      this.next = next;
      this.read = read;
    }

    private Object read(String text) {
      // Every statement of ours has this word; the others need not wait for Python.
      boolean ours = text.toLowerCase(Locale.ROOT).contains("model");
      return ours ? call(read, inPieces(text)) : null;
    }

    public LogicalPlan parsePlan(String text) throws ParseException {
      Object found = read(text);
      if (found instanceof LogicalPlan) {
        return (LogicalPlan) found;
      }
      return explaining(next.parsePlan(found == null ? text : (String) found));
    }

    public LogicalPlan parsePlanWithParameters(String text, ParameterContext given)
        throws ParseException {
      Object found = read(text);
      if (found instanceof LogicalPlan) {
        return (LogicalPlan) found;
      }
      String sql = found == null ? text : (String) found;
      return explaining(next.parsePlanWithParameters(sql, given));
    }

    public LogicalPlan parseQuery(String text) throws ParseException {
      Object found = read(text);
      return next.parseQuery(found instanceof String ? (String) found : text);
    }

    public Expression parseExpression(String text) throws ParseException {
      return next.parseExpression(text);
    }

    public TableIdentifier parseTableIdentifier(String text) throws ParseException {
      return next.parseTableIdentifier(text);
    }

    public FunctionIdentifier parseFunctionIdentifier(String text) throws ParseException {
      return next.parseFunctionIdentifier(text);
    }

    public Seq parseMultipartIdentifier(String text) throws ParseException {
      return next.parseMultipartIdentifier(text);
    }

    public TemporalIdentifier parseTemporalTableIdentifier(String text) throws ParseException {
      return next.parseTemporalTableIdentifier(text);
    }

    public StructType parseRoutineParam(String text) throws ParseException {
      return next.parseRoutineParam(text);
    }

    public SqlStatementSplitResult splitStatements(String text) {
      return next.splitStatements(text);
    }

    public StructType parseTableSchema(String text) throws ParseException {
      return next.parseTableSchema(text);
    }

    public DataType parseDataType(String text) throws ParseException {
      return next.parseDataType(text);
    }
  }

  /**
   * A plan that runs a statement in Python when it is executed: once, eagerly, as Spark runs its
   * own commands, and not at all under EXPLAIN. `run` gives the rows as a Dataset.
   */
  public LogicalPlan command(Function1 run, String text, Map schema) {
    return new Command(new Runner(run), text, schema);
  }

  private final class Runner implements ExternalCommandRunner {
    private final Function1 python;

    Runner(Function1 python) {
      this.python = python;
    }

    public String[] executeCommand(String command, CaseInsensitiveStringMap options) {
      throw new UnsupportedOperationException();
    }

    Seq rows(String statement) {
      Dataset rows = (Dataset) call(python, statement);
      return CollectionConverters.asScala(rows.collectAsList()).toList();
    }
  }

  /** Spark's own command for foreign runners, but with typed columns. */
  public static final class Command extends ExternalCommandExecutor {
    private final Seq columns;

    // Spark copies a plan through its constructor, with the parent's three arguments.
    public Command(ExternalCommandRunner runner, String text, Map options) {
      super(runner, text, options);
      columns = DataTypeUtils.toAttributes(StructType.fromDDL((String) options.apply("schema")));
    }

    public Seq output() {
      return columns;
    }

    public Seq run(org.apache.spark.sql.SparkSession session) {
      return ((Runner) runner()).rows(command());
    }

    public String simpleString(int most) {
      return command();
    }
  }
}
