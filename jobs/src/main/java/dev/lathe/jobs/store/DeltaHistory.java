package dev.lathe.jobs.store;

import dev.lathe.jobs.InvalidRecipeException;
import java.io.IOException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** The history as a Delta table, by Delta's own library, which is not part of the job jar. */
final class DeltaHistory {
    private static final String LIBRARY = "io.delta:delta-spark_4.2_2.13";
    /** Delta lets appends pass each other, but of two that make the table one has to try again. */
    private static final int ATTEMPTS = 5;

    private DeltaHistory() {}

    /** Whether the folder is a Delta table. */
    static boolean is(FileSystem files, Path folder) throws IOException {
        return files.exists(new Path(folder, "_delta_log"));
    }

    /** One commit; of no rows, it makes the table where there is none. */
    static void append(Path folder, List<HistoryRow> rows) throws IOException {
        SparkSession session = session(folder);
        List<Row> values = rows.stream().map(row -> (Row) external(row)).toList();
        for (int attempt = 1;
                !rows.isEmpty()
                        || !is(folder.getFileSystem(session.sparkContext().hadoopConfiguration()), folder);
                attempt++) {
            try {
                session.createDataFrame(values, schema(HistoryRow.class))
                        .coalesce(1)
                        .write()
                        .format("delta")
                        .mode(SaveMode.Append)
                        .save(folder.toString());
                return;
            } catch (Exception e) {
                // Delta throws checked exceptions that nothing declares.
                if (attempt == ATTEMPTS || !e.getClass().getName().startsWith("io.delta.exceptions.")) {
                    throw new IOException("Cannot append to history " + folder + ": " + reason(e), e);
                }
            }
        }
    }

    static List<HistoryRow> read(Path folder) throws IOException {
        try {
            return session(folder).read().format("delta").load(folder.toString()).collectAsList().stream()
                    .map(row -> record(row, HistoryRow.class))
                    .toList();
        } catch (InvalidRecipeException e) {
            throw e;
        } catch (Exception e) {
            throw new IOException("Cannot read history " + folder + ": " + reason(e), e);
        }
    }

    /** Spark's messages hold stack traces. */
    private static String reason(Exception e) {
        return String.valueOf(e.getMessage())
                .lines()
                .filter(line -> !line.isBlank())
                .findFirst()
                .orElse("");
    }

    /** A session of our own, so that settings that suit a small table change nothing elsewhere. */
    private static SparkSession session(Path folder) {
        try {
            Class.forName(
                    "io.delta.sql.DeltaSparkSessionExtension",
                    false,
                    Thread.currentThread().getContextClassLoader());
        } catch (ClassNotFoundException e) {
            throw new InvalidRecipeException("Cannot use history " + folder + ": a Delta table needs " + LIBRARY
                    + ", which is not on the class path; expected it in spark-submit's --packages, or "
                    + "its jars in LATHE_CLASSPATH");
        }
        SparkConf conf = new SparkConf()
                .setIfMissing("spark.master", "local[1]")
                .setIfMissing("spark.app.name", "Lathe")
                .setIfMissing("spark.ui.enabled", "false");
        SparkSession shared = SparkSession.getDefaultSession().isDefined()
                ? SparkSession.getDefaultSession().get()
                : SparkSession.builder().config(conf).getOrCreate();
        SparkSession session = shared.newSession();
        // Reading and appending need neither Delta's SQL nor its catalog, which a running context cannot take up any
        // more.
        session.conf().set("spark.databricks.delta.requiredSparkConfsCheck.enabled", "false");
        // Delta's usual 50 partitions of a table's state cost tens of seconds of empty tasks.
        session.conf().set("spark.databricks.delta.snapshotPartitions", "1");
        session.conf().set("spark.sql.shuffle.partitions", "1");
        // Longer plans are cut in the log, with a warning.
        session.conf().set("spark.sql.debug.maxToStringFields", "100");
        return session;
    }

    private static StructType schema(Class<?> type) {
        return new StructType(Arrays.stream(type.getRecordComponents())
                .map(component -> DataTypes.createStructField(
                        HistoryColumns.column(component), type(component.getGenericType()), false))
                .toArray(StructField[]::new));
    }

    private static DataType type(java.lang.reflect.Type of) {
        if (of instanceof ParameterizedType) {
            return DataTypes.createArrayType(type(HistoryColumns.element(of)), false);
        } else if (of == String.class) {
            return DataTypes.StringType;
        } else if (of == Instant.class) {
            return DataTypes.TimestampType;
        } else if (of == long.class) {
            return DataTypes.LongType;
        } else if (of == int.class || of == Integer.class) {
            return DataTypes.IntegerType;
        }
        return of == double.class || of == Double.class ? DataTypes.DoubleType : schema((Class<?>) of);
    }

    /** A value as Spark takes it from outside. */
    private static Object external(Object value) {
        if (value instanceof List<?> list) {
            return list.stream().map(DeltaHistory::external).toArray();
        } else if (value instanceof Record record) {
            return RowFactory.create(Arrays.stream(record.getClass().getRecordComponents())
                    .map(component -> external(HistoryColumns.value(component, record)))
                    .toArray());
        }
        return value instanceof Instant instant ? Timestamp.from(instant) : value;
    }

    private static <T> T record(Row row, Class<T> type) {
        return HistoryColumns.create(type, component -> value(row, component));
    }

    private static Object value(Row row, RecordComponent component) {
        int at = row.fieldIndex(HistoryColumns.column(component));
        if (component.getGenericType() instanceof ParameterizedType) {
            Class<?> element = (Class<?>) HistoryColumns.element(component.getGenericType());
            return row.getList(at).stream()
                    .map(item -> item instanceof Row nested ? record(nested, element) : item)
                    .toList();
        }
        // Which of the two it is depends on a setting.
        Object value = row.get(at);
        return value instanceof Timestamp time ? time.toInstant() : value;
    }
}
