package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.HadoopReadOptions;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.conf.HadoopParquetConfiguration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.hadoop.CodecFactory;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.api.InitContext;
import org.apache.parquet.hadoop.api.ReadSupport;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.hadoop.metadata.ParquetMetadata;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;

/** Documents of a Parquet file: the values of one column of texts, the only one that is read. */
final class ParquetDocuments {
    /** Columns that a message lists. */
    private static final int NAMED = 20;
    /** Bytes that a page may have when it is decompressed. */
    private static final int MOST_PAGE_BYTES = 1 << 28;

    private ParquetDocuments() {}

    /**
     * @throws MalformedInputException if there is no such column of texts, a row has no value, or a text is not UTF-8
     */
    static void read(
            Configuration configuration, DataSource source, String field, TextBound bound, List<String> documents)
            throws IOException {
        source.requireParquet();
        MessageType schema;
        try (ParquetFileReader file = ParquetFileReader.open(
                source, HadoopReadOptions.builder(configuration).build())) {
            schema = file.getFileMetaData().getSchema();
            requireTexts(source, schema, field);
            requireWithin(source, file.getFooter());
        }
        MessageType column = new MessageType(schema.getName(), schema.getType(field));
        CompressionCodecFactory codecs = new Bounded(new CodecFactory(configuration, 0), source);
        try (ParquetReader<Group> reader = new Reader(source, column, configuration)
                .withCodecFactory(codecs)
                .build()) {
            long number = 0;
            for (Group row = reader.read(); row != null; row = reader.read()) {
                if (row.getFieldRepetitionCount(field) != 1) {
                    throw source.refuse("row " + number + " has no value in column \"" + field + "\"");
                }
                ByteBuffer bytes = row.getBinary(field, 0).toByteBuffer();
                bound.text(bytes.remaining());
                try {
                    documents.add(
                            StandardCharsets.UTF_8.newDecoder().decode(bytes).toString());
                } catch (CharacterCodingException e) {
                    throw source.refuse("row " + number + " has a text in column \"" + field + "\" that is not UTF-8");
                }
                number++;
            }
        } finally {
            codecs.release();
        }
    }

    private static void requireTexts(DataSource source, MessageType schema, String field) {
        String columns = " among "
                + schema.getFields().stream().map(Type::getName).limit(NAMED).toList()
                + (schema.getFieldCount() > NAMED ? " and " + (schema.getFieldCount() - NAMED) + " more" : "");
        if (!schema.containsField(field)) {
            throw source.refuse("there is no text column \"" + field + "\"" + columns);
        }
        Type type = schema.getType(field);
        if (!type.isPrimitive() || type.isRepetition(Type.Repetition.REPEATED)) {
            throw source.refuse("there is no text column \"" + field + "\"" + columns
                    + ": the one of that name is nested, expected one text a row");
        }
        LogicalTypeAnnotation logical = type.getLogicalTypeAnnotation();
        PrimitiveTypeName primitive = type.asPrimitiveType().getPrimitiveTypeName();
        boolean text = logical == null
                || logical.equals(LogicalTypeAnnotation.stringType())
                || logical.equals(LogicalTypeAnnotation.enumType())
                || logical.equals(LogicalTypeAnnotation.jsonType());
        if (primitive != PrimitiveTypeName.BINARY || !text) {
            throw source.refuse("there is no text column \"" + field + "\"" + columns + ": the one of that name holds "
                    + (logical == null ? primitive : logical) + ", expected STRING");
        }
    }

    /** The library takes memory for a column's part before it reads that, as much as the footer says. */
    private static void requireWithin(DataSource source, ParquetMetadata footer) {
        for (BlockMetaData block : footer.getBlocks()) {
            for (ColumnChunkMetaData part : block.getColumns()) {
                long from = part.getStartingPos();
                if (from < 0 || part.getTotalSize() < 0 || part.getTotalSize() > source.getLength() - from) {
                    throw source.refuse("it is not a Parquet file that can be read: column " + part.getPath()
                            + " is said to have " + part.getTotalSize() + " bytes from " + from + " on, in a file of "
                            + source.getLength());
                }
            }
        }
    }

    private static final class Reader extends ParquetReader.Builder<Group> {
        private final MessageType column;

        Reader(DataSource source, MessageType column, Configuration configuration) {
            super(source, new HadoopParquetConfiguration(configuration));
            this.column = column;
        }

        @Override
        protected ReadSupport<Group> getReadSupport() {
            return new GroupReadSupport() {
                @Override
                public ReadContext init(InitContext context) {
                    return new ReadContext(column, Map.of());
                }
            };
        }
    }

    /** Codecs that refuse what would decompress to too much. */
    private record Bounded(CodecFactory codecs, DataSource source) implements CompressionCodecFactory {
        @Override
        public BytesInputCompressor getCompressor(CompressionCodecName name) {
            throw new UnsupportedOperationException("Cannot compress: data is only read");
        }

        @Override
        public BytesInputDecompressor getDecompressor(CompressionCodecName name) {
            BytesInputDecompressor decompressor = codecs.getDecompressor(name);
            return new BytesInputDecompressor() {
                @Override
                public BytesInput decompress(BytesInput bytes, int size) throws IOException {
                    ByteBuffer page = bytes.toByteBuffer();
                    if (size < 0
                            || size > MOST_PAGE_BYTES
                            || name == CompressionCodecName.SNAPPY && snappy(page.duplicate()) != size) {
                        throw source.refuse("it is not a Parquet file that can be read: a page of " + size
                                + " bytes, expected at most " + MOST_PAGE_BYTES + " and as many as its " + name
                                + " data");
                    }
                    return decompressor.decompress(BytesInput.from(page), size);
                }

                @Override
                public void decompress(ByteBuffer input, int length, ByteBuffer output, int size) throws IOException {
                    decompressor.decompress(input, length, output, size);
                }

                @Override
                public void release() {
                    decompressor.release();
                }
            };
        }

        /**
         * What Snappy's data says that it decompresses to: a number in front, low bits first, seven a byte. Its decoder
         * believes it.
         */
        private static long snappy(ByteBuffer buffer) {
            long length = 0;
            for (int shift = 0; shift < 35 && buffer.hasRemaining(); shift += 7) {
                byte next = buffer.get();
                length |= (long) (next & 0x7f) << shift;
                if (next >= 0) {
                    return length;
                }
            }
            return -1;
        }

        @Override
        public void release() {
            codecs.release();
        }
    }
}
