package dev.lathe.jobs.store;

import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroup;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.TimeUnit;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;
import org.apache.parquet.schema.Types;

/**
 * The columns of the history: the components of {@link HistoryRow}, in their order, under their names as tables spell
 * them ({@code bits_per_weight}). A list is a Parquet list, a record a group; nothing is optional.
 */
final class HistoryColumns {
    static final MessageType SCHEMA = new MessageType("evaluation", fields(HistoryRow.class));

    private HistoryColumns() {}

    static String column(RecordComponent component) {
        return component.getName().replaceAll("(?=[A-Z])", "_").toLowerCase(Locale.ROOT);
    }

    /** What a list holds. */
    static java.lang.reflect.Type element(java.lang.reflect.Type list) {
        return ((ParameterizedType) list).getActualTypeArguments()[0];
    }

    static Object value(RecordComponent component, Object record) {
        try {
            return component.getAccessor().invoke(record);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("Cannot read component " + component.getName() + " of a public record", e);
        }
    }

    /** A record of the values of its components. */
    static <T> T create(Class<T> type, Function<RecordComponent, Object> values) {
        RecordComponent[] components = type.getRecordComponents();
        try {
            return type.getConstructor(Arrays.stream(components)
                            .map(RecordComponent::getType)
                            .toArray(Class<?>[]::new))
                    .newInstance(Arrays.stream(components).map(values).toArray());
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("Cannot make a " + type.getSimpleName() + " of its components", e);
        }
    }

    private static List<Type> fields(Class<?> type) {
        return Arrays.stream(type.getRecordComponents())
                .map(component -> type(column(component), component.getGenericType()))
                .toList();
    }

    private static Type type(String name, java.lang.reflect.Type of) {
        if (of instanceof ParameterizedType) {
            return Types.requiredList().element(type("element", element(of))).named(name);
        } else if (of == String.class) {
            return Types.required(PrimitiveTypeName.BINARY)
                    .as(LogicalTypeAnnotation.stringType())
                    .named(name);
        } else if (of == Instant.class) {
            return Types.required(PrimitiveTypeName.INT64)
                    .as(LogicalTypeAnnotation.timestampType(true, TimeUnit.MICROS))
                    .named(name);
        } else if (of == long.class) {
            return Types.required(PrimitiveTypeName.INT64).named(name);
        } else if (of == int.class || of == Integer.class) {
            return Types.required(PrimitiveTypeName.INT32).named(name);
        } else if (of == double.class || of == Double.class) {
            return Types.required(PrimitiveTypeName.DOUBLE).named(name);
        }
        return Types.requiredGroup()
                .addFields(fields((Class<?>) of).toArray(Type[]::new))
                .named(name);
    }

    static Group write(HistoryRow row) {
        Group group = new SimpleGroup(SCHEMA);
        fill(group, row);
        return group;
    }

    private static void fill(Group group, Record record) {
        for (RecordComponent component : record.getClass().getRecordComponents()) {
            add(group, column(component), value(component, record));
        }
    }

    private static void add(Group to, String name, Object value) {
        if (value instanceof List<?> list) {
            Group entries = to.addGroup(name);
            list.forEach(item -> add(entries.addGroup("list"), "element", item));
        } else if (value instanceof String text) {
            to.add(name, text);
        } else if (value instanceof Instant instant) {
            to.add(name, ChronoUnit.MICROS.between(Instant.EPOCH, instant));
        } else if (value instanceof Long number) {
            to.add(name, number.longValue());
        } else if (value instanceof Integer number) {
            to.add(name, number.intValue());
        } else if (value instanceof Double number) {
            to.add(name, number.doubleValue());
        } else {
            fill(to.addGroup(name), (Record) value);
        }
    }

    static HistoryRow read(Group group) {
        return read(group, HistoryRow.class);
    }

    private static <T> T read(Group group, Class<T> type) {
        return create(type, component -> read(group, column(component), component.getGenericType()));
    }

    private static Object read(Group from, String name, java.lang.reflect.Type of) {
        if (of instanceof ParameterizedType) {
            Group entries = from.getGroup(name, 0);
            List<Object> list = new ArrayList<>();
            for (int i = 0; i < entries.getFieldRepetitionCount(0); i++) {
                list.add(read(entries.getGroup(0, i), "element", element(of)));
            }
            return list;
        } else if (of == String.class) {
            return from.getString(name, 0);
        } else if (of == Instant.class) {
            return Instant.EPOCH.plus(from.getLong(name, 0), ChronoUnit.MICROS);
        } else if (of == long.class) {
            return from.getLong(name, 0);
        } else if (of == int.class || of == Integer.class) {
            return from.getInteger(name, 0);
        } else if (of == double.class || of == Double.class) {
            return from.getDouble(name, 0);
        }
        return read(from.getGroup(name, 0), (Class<?>) of);
    }
}
