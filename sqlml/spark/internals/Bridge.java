package sqlml;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.QueryContext;
import org.apache.spark.SparkRuntimeException;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.parser.ParameterContext;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.parser.SqlStatementSplitResult;
import org.apache.spark.sql.catalyst.parser.TemporalIdentifier;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.classic.Dataset;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connector.ExternalCommandRunner;
import org.apache.spark.sql.execution.command.ExternalCommandExecutor;
import org.apache.spark.sql.internal.SessionState;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import scala.Function1;
import scala.Function2;
import scala.Option;
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

  /** The builder that a function registry holds: from argument expressions to a plan. */
  public Function1 builder(Function1 python) {
    return new Builder(python);
  }

  private final class Builder extends AbstractFunction1 {
    private final Function1 python;

    Builder(Function1 python) {
      this.python = python;
    }

    public Object apply(Object expressions) {
      return call(python, expressions);
    }
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
      return next.parsePlan(found == null ? text : (String) found);
    }

    public LogicalPlan parsePlanWithParameters(String text, ParameterContext given)
        throws ParseException {
      Object found = read(text);
      if (found instanceof LogicalPlan) {
        return (LogicalPlan) found;
      }
      return next.parsePlanWithParameters(found == null ? text : (String) found, given);
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
