package sqlml;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.catalyst.analysis.UnresolvedAttribute;
import org.apache.spark.sql.catalyst.analysis.UnresolvedExtractValue;
import org.apache.spark.sql.catalyst.analysis.UnresolvedFunction;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.CaseWhen;
import org.apache.spark.sql.catalyst.expressions.Coalesce;
import org.apache.spark.sql.catalyst.expressions.CreateMap;
import org.apache.spark.sql.catalyst.expressions.ElementAt;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.GetMapValue;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.Literal$;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression$;
import org.apache.spark.sql.catalyst.expressions.objects.StaticInvoke;
import org.apache.spark.sql.catalyst.parser.CatalystSqlParser$;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.ArrowEvalPython;
import org.apache.spark.sql.catalyst.plans.logical.Expand;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.SubqueryAlias;
import org.apache.spark.sql.catalyst.plans.logical.View;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.execution.python.UserDefinedPythonFunction;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.internal.SQLConf$;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata$;
import scala.Option;
import scala.Tuple2;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction0;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractPartialFunction;

/** Plans that Python would build in many calls, built in one. */
public final class Plans {
  private static Seq seq(Object[] items) {
    return CollectionConverters.asScala(java.util.Arrays.asList(items)).toList();
  }

  private static LogicalPlan select(String text, LogicalPlan from) {
    LogicalPlan select = (LogicalPlan) read(text, true);
    // Two calls in one query: each its own columns.
    select = (LogicalPlan) select.transformExpressions(new Renewed());
    return (LogicalPlan) select.withNewChildren(seq(new Object[] {from}));
  }

  /** Texts read before: Spark's parser takes milliseconds for a small model. */
  private static final ConcurrentHashMap READ = new ConcurrentHashMap();

  private static final int MOST_READ = 200;

  /** A SELECT or an expression, whatever settings for the reading of SQL the session has. */
  private static Object read(final String text, final boolean isSelect) {
    Object found = READ.get(text);
    if (found == null) {
      found = SQLConf$.MODULE$.withExistingConf(new SQLConf(), new AbstractFunction0() {
        public Object apply() {
          if (!isSelect) {
            return CatalystSqlParser$.MODULE$.parseExpression(text).transformUp(new WithMath());
          }
          return CatalystSqlParser$.MODULE$.parsePlan(text).transformExpressions(new WithMath());
        }
      });
      if (READ.size() >= MOST_READ) {
        READ.clear();
      }
      READ.put(text, found);
    }
    return found;
  }

  private static class Renewed extends AbstractPartialFunction {
    public boolean isDefinedAt(Object x) {
      return x instanceof Alias;
    }

    public Object applyOrElse(Object x, scala.Function1 otherwise) {
      return isDefinedAt(x) ? ((Alias) x).newInstance() : otherwise.apply(x);
    }
  }

  /**
   * exp by java.lang.Math, for which HotSpot has machine code, in the place of Spark's own, which
   * is StrictMath's and takes three times as long. Both are within one unit in the last place.
   */
  private static class WithMath extends AbstractPartialFunction {
    public boolean isDefinedAt(Object x) {
      return x instanceof UnresolvedFunction
          && ((UnresolvedFunction) x).nameParts().size() == 1
          && ((UnresolvedFunction) x).nameParts().head().equals("exp");
    }

    public Object applyOrElse(Object x, scala.Function1 otherwise) {
      if (!isDefinedAt(x)) {
        return otherwise.apply(x);
      }
      return new StaticInvoke(
          Math.class,
          DataTypes.DoubleType,
          "exp",
          ((UnresolvedFunction) x).arguments(),
          seq(new Object[] {DataTypes.DoubleType}),
          true,
          false,
          true,
          scala.Option.empty());
    }
  }

  /**
   * SELECT over SELECT above a plan, of which each adds so many columns; those of the last but one
   * stand in an Expand of one projection, not in a Project, and so do those of some `apart`.
   *
   * <p>The optimizer pushes a filter on a Project's columns below it, which copies their
   * expressions into the filter; through an Expand it pushes what is on other columns, and leaves
   * the rest above: the `results` columns are evaluated once. Unused columns are pruned in both,
   * and both are fused into whole-stage code, where an Expand on an Expand has a method of its own:
   * with the first two `apart`, the inputs and what is made of them, the model does not make the
   * method of the scan and the joins below it too long to be compiled. A model that is `small`
   * stays in the method of a scan, to which its inputs need not be handed.
   */
  public LogicalPlan evaluatedOnce(
      SparkSession session,
      LogicalPlan input,
      List selects,
      List counts,
      int apart,
      boolean small) {
    int expands = small && scans(input) ? 0 : apart;
    LogicalPlan plan = input;
    int last = counts.size() - 1;
    for (int i = 0; i <= last; i++) {
      plan = select((String) selects.get(i), plan);
      if (i == last || i < expands) {
        plan = expanded(session, plan, ((Integer) counts.get(i)).intValue());
      }
    }
    return select((String) selects.get(last + 1), plan);
  }

  /** Whether a plan reads a relation, and does nothing else. */
  private static boolean scans(LogicalPlan plan) {
    if (plan instanceof Project) {
      Seq columns = ((Project) plan).projectList();
      for (int i = 0; i < columns.size(); i++) {
        if (!(columns.apply(i) instanceof AttributeReference)) {
          return false;
        }
      }
    } else if (!(plan instanceof SubqueryAlias || plan instanceof View)) {
      return plan.children().isEmpty();
    }
    return scans((LogicalPlan) plan.children().head());
  }

  /** A SELECT of every column and of `count` new ones, as an Expand. */
  private static LogicalPlan expanded(SparkSession session, LogicalPlan select, int count) {
    Project top = (Project) session.sessionState().analyzer().execute(select);
    LogicalPlan below = (LogicalPlan) top.child();
    Seq columns = below.output();
    Seq values = columns;
    for (int i = top.projectList().size() - count; i < top.projectList().size(); i++) {
      Alias alias = (Alias) top.projectList().apply(i);
      values = (Seq) values.appended(alias.child());
      // Of ours, coalesce ends with a constant; Spark sees that only when the constant is folded.
      boolean isNullable = !(alias.child() instanceof Coalesce);
      AttributeReference made = (AttributeReference) alias.toAttribute();
      columns = (Seq) columns.appended(made.withNullability(isNullable));
    }
    return new Expand(seq(new Object[] {values}), columns, below);
  }

  /**
   * The first SELECT above a plan, what a Python function makes of some of its columns, and the
   * last SELECT above that. The function stands in a node of its own, not in a Project: the
   * optimizer pushes filters and limits on other columns below that node and leaves filters on the
   * result above it, so that the function is evaluated once.
   */
  public LogicalPlan evaluatedInPython(
      LogicalPlan input,
      String first,
      UserDefinedPythonFunction udf,
      List arguments,
      String result,
      int evalType,
      String last) {
    Object[] columns = new Object[arguments.size()];
    for (int i = 0; i < columns.length; i++) {
      columns[i] = new UnresolvedAttribute(seq(new Object[] {arguments.get(i)}));
    }
    Expression function = udf.builder(seq(columns));
    AttributeReference raw =
        new AttributeReference(
            result,
            function.dataType(),
            true,
            Metadata$.MODULE$.empty(),
            NamedExpression$.MODULE$.newExprId(),
            seq(new Object[0]));
    LogicalPlan evaluated =
        new ArrowEvalPython(
            seq(new Object[] {function}),
            seq(new Object[] {raw}),
            select(first, input),
            evalType);
    return select(last, evaluated);
  }

  /** An expression from SQL text in which some names stand for other expressions. */
  public Expression filled(String text, final List names, final Seq values) {
    return (Expression) ((Expression) read(text, false)).transformUp(new AbstractPartialFunction() {
      public boolean isDefinedAt(Object x) {
        return x instanceof UnresolvedAttribute
            && names.contains(((UnresolvedAttribute) x).nameParts().head());
      }

      public Object applyOrElse(Object x, scala.Function1 otherwise) {
        if (!isDefinedAt(x)) {
          return otherwise.apply(x);
        }
        Seq parts = ((UnresolvedAttribute) x).nameParts();
        Expression value = (Expression) values.apply(names.indexOf(parts.head()));
        for (int i = 1; i < parts.size(); i++) { // value.field
          value = new UnresolvedExtractValue(value, Literal$.MODULE$.apply(parts.apply(i)));
        }
        return value;
      }
    });
  }

  // --- the optimizer ---------------------------------------------------------------------

  /** Let every session of the application take one label's probability without the others'. */
  public void optimizeLookups(SparkSession session) {
    // An optimizer asks for them each time it runs: those of open sessions have them too.
    session.extensions().injectOptimizerRule(new AbstractFunction1() {
      public Object apply(Object any) {
        return new OneLabel();
      }
    });
  }

  /**
   * `CASE WHEN c THEN map('no', x, 'yes', y) END['yes']` is `CASE WHEN c THEN y END`.
   *
   * <p>Spark takes a value out of a map that a query builds, but not where the map is in a branch,
   * and a row without a score has no probabilities; nor through an aggregate. It would make a map
   * for each row, for one value of it.
   */
  public static final class OneLabel extends Rule {
    public TreeNode apply(TreeNode plan) {
      LogicalPlan moved = (LogicalPlan) plan.transformUp(new LookUpBelow());
      return moved.transformAllExpressions(new LookUp());
    }
  }

  private static final class LookUp extends AbstractPartialFunction {
    public boolean isDefinedAt(Object x) {
      return map(x) != null && value(map(x), key(x)) != null;
    }

    public Object applyOrElse(Object x, scala.Function1 otherwise) {
      return isDefinedAt(x) ? value(map(x), key(x)) : otherwise.apply(x);
    }

    /** The map in which an expression looks something up, or null. */
    static Expression map(Object x) {
      if (x instanceof GetMapValue) {
        return ((GetMapValue) x).child();
      }
      return x instanceof ElementAt ? ((ElementAt) x).left() : null;
    }

    static Expression key(Object x) {
      return x instanceof GetMapValue ? ((GetMapValue) x).key() : ((ElementAt) x).right();
    }

    /** What stands under a key, where the keys are known and the map is in the only branch. */
    static Expression value(Expression map, Expression key) {
      if (!(map instanceof CaseWhen) || !(key instanceof Literal)) {
        return null;
      }
      CaseWhen choice = (CaseWhen) map;
      Tuple2 branch = (Tuple2) choice.branches().head();
      if (choice.branches().size() > 1 || choice.elseValue().isDefined()
          || !(branch._2() instanceof CreateMap)) {
        return null;
      }
      Seq parts = ((CreateMap) branch._2()).children();
      HashSet keys = new HashSet();
      Object found = null;
      for (int i = 0; i < parts.size(); i += 2) {
        Object each = parts.apply(i);
        if (!(each instanceof Literal) || ((Literal) each).value() == null || !keys.add(each)) {
          return null; // it is Spark that says which key is NULL, or there twice
        }
        found = each.equals(key) ? parts.apply(i + 1) : found;
      }
      Object[] one = {new Tuple2(branch._1(), found)};
      return found == null ? null : new CaseWhen(seq(one), Option.empty());
    }
  }

  /** Lookups of an Aggregate or a Project in a map of the Project below, as columns of that. */
  private static final class LookUpBelow extends AbstractPartialFunction {
    public boolean isDefinedAt(Object x) {
      return (x instanceof Aggregate || x instanceof Project)
          && ((LogicalPlan) x).children().head() instanceof Project;
    }

    public Object applyOrElse(Object x, scala.Function1 otherwise) {
      if (!isDefinedAt(x)) {
        return otherwise.apply(x);
      }
      Project project = (Project) ((LogicalPlan) x).children().head();
      Taken taken = new Taken(project);
      LogicalPlan above = (LogicalPlan) ((LogicalPlan) x).transformExpressions(taken);
      if (taken.columns.isEmpty()) {
        return x;
      }
      List columns = new ArrayList(taken.columns.values());
      for (int i = 0; i < project.projectList().size(); i++) {
        NamedExpression each = (NamedExpression) project.projectList().apply(i);
        if (above.references().contains(each)) {
          columns.add(each);
        }
      }
      Project below = new Project(seq(columns.toArray()), project.child());
      return above.withNewChildren(seq(new Object[] {below}));
    }
  }

  private static final class Taken extends AbstractPartialFunction {
    final LinkedHashMap columns = new LinkedHashMap(); // from the lookup to the column of it
    private final Project project;

    Taken(Project project) {
      this.project = project;
    }

    public boolean isDefinedAt(Object x) {
      return LookUp.map(x) instanceof AttributeReference
          && LookUp.value(source(LookUp.map(x), project), LookUp.key(x)) != null;
    }

    public Object applyOrElse(Object x, scala.Function1 otherwise) {
      if (!isDefinedAt(x)) {
        return otherwise.apply(x);
      }
      Object lookup = ((Expression) x).canonicalized();
      if (!columns.containsKey(lookup)) {
        Expression known = LookUp.value(defined(LookUp.map(x), project), LookUp.key(x));
        Expression value = known == null ? (Expression) x : known; // from further below
        Seq none = seq(new Object[0]);
        ExprId id = NamedExpression$.MODULE$.newExprId();
        columns.put(lookup, new Alias(value, "probability", id, none, Option.empty(), none));
      }
      return ((Alias) columns.get(lookup)).toAttribute();
    }

    /** The expression of which a column of a Project is the name; the column itself if none. */
    private static Expression defined(Expression column, Project project) {
      for (int i = 0; i < project.projectList().size(); i++) {
        Object each = project.projectList().apply(i);
        if (each instanceof Alias
            && ((Alias) each).exprId().equals(((AttributeReference) column).exprId())) {
          return ((Alias) each).child();
        }
      }
      return column;
    }

    /** The same through Projects below, as far as they hand the column on. */
    private static Expression source(Expression column, LogicalPlan plan) {
      Expression found = column;
      LogicalPlan at = plan;
      while (at instanceof Project && found instanceof AttributeReference) {
        found = defined(found, (Project) at);
        at = ((Project) at).child();
      }
      return found;
    }
  }
}
