package sqlml;

import org.apache.hive.service.cli.HiveSQLException;
import scala.runtime.AbstractFunction1;

/**
 * Errors for clients of the Thrift server, which sends an exception's whole stack as the message:
 * these have none, and their text is the message alone.
 */
public final class JdbcErrors extends AbstractFunction1 {
  // Of "syntax error or access rule violation" in the standard: mend the statement.
  private static final String SQL_STATE = "42000";

  public Object apply(Object message) {
    return new OneLine((String) message);
  }

  private static final class OneLine extends HiveSQLException {
    OneLine(String message) {
      super(message, SQL_STATE);
    }

    public Throwable fillInStackTrace() {
      return this;
    }

    // Spark gives an error of the analysis the stack of each caller that meets it again.
    public void setStackTrace(StackTraceElement[] stack) {}

    public String toString() {
      return getMessage();
    }
  }
}
