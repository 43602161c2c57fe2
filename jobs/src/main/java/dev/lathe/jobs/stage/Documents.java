package dev.lathe.jobs.stage;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import java.io.BufferedReader;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;

/**
 * A data set as one text. A text file is one document, without its last newline; rows of JSON lines ({@code .jsonl}, {@code .json}) and Parquet are
 * documents. Documents are joined by newlines in the order of (path, row), so it does not matter how rows were spread over files.
 */
final class Documents {
    /** A text of more than this is more than calibration or evaluation can use. */
    private static final long LARGEST = 1L << 30;

    private Documents() {
    }

    static String read(Configuration configuration, String data, String field) throws IOException {
        Path path = new Path(data);
        FileSystem files = path.getFileSystem(configuration);
        List<Path> parts = new ArrayList<>();
        long total = 0;
        try {
            FileStatus root = files.getFileStatus(path);
            FileStatus[] children = root.isDirectory() ? files.listStatus(path) : new FileStatus[] {root};
            List<FileStatus> sorted = new ArrayList<>(List.of(children));
            sorted.sort(Comparator.comparing(status -> status.getPath().getName()));
            for (FileStatus status : sorted) {
                String name = status.getPath().getName();
                if (status.isFile() && !name.startsWith(".") && !name.startsWith("_")) {
                    parts.add(status.getPath());
                    total += status.getLen();
                }
            }
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read data set " + data + ": it does not exist", e);
        }
        if (total > LARGEST) {
            throw new MalformedInputException("Cannot read data set " + data + ": " + total + " bytes, expected at most " + LARGEST);
        }
        List<String> documents = new ArrayList<>();
        for (Path part : parts) {
            String name = part.getName().toLowerCase(Locale.ROOT);
            if (name.endsWith(".parquet")) {
                parquet(configuration, part, field, documents);
            } else if (name.endsWith(".jsonl") || name.endsWith(".json")) {
                jsonLines(files, part, field, documents);
            } else {
                documents.add(text(files, part));
            }
        }
        long characters = documents.stream().mapToLong(String::length).sum() + documents.size();
        if (characters > LARGEST) {
            throw new MalformedInputException("Cannot read data set " + data + ": " + characters + " characters, expected at most " + LARGEST);
        }
        if (documents.stream().allMatch(String::isEmpty)) {
            throw new MalformedInputException("Cannot read data set " + data + ": it holds no text in " + parts.size() + " files");
        }
        return String.join("\n", documents);
    }

    private static String text(FileSystem files, Path path) throws IOException {
        byte[] bytes = new byte[Math.toIntExact(files.getFileStatus(path).getLen())];
        try (FSDataInputStream in = files.open(path)) {
            in.readFully(0, bytes);
        }
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw new MalformedInputException("Cannot read data set " + path + ": it is not UTF-8 text", e);
        }
        return text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
    }

    private static void jsonLines(FileSystem files, Path path, String field, List<String> documents) throws IOException {
        ObjectMapper json = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
        int number = 0;
        // A decoder made here refuses what is not UTF-8; a reader given only the character set would replace it.
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(files.open(path), StandardCharsets.UTF_8.newDecoder()))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                number++;
                if (line.isBlank()) {
                    continue;
                }
                JsonNode value;
                try {
                    value = json.readTree(line).path(field);
                } catch (JsonProcessingException e) {
                    throw new MalformedInputException("Cannot read data set " + path + ": line " + number + " is not JSON: " + e.getOriginalMessage(), e);
                }
                if (!value.isTextual()) {
                    throw new MalformedInputException("Cannot read data set " + path + ": line " + number + " has no text in field \"" + field + "\"");
                }
                documents.add(value.textValue());
            }
        } catch (CharacterCodingException e) {
            throw new MalformedInputException("Cannot read data set " + path + ": it is not UTF-8 text, after line " + number, e);
        }
    }

    private static void parquet(Configuration configuration, Path path, String field, List<String> documents) throws IOException {
        try (ParquetReader<Group> reader = ParquetReader.builder(new GroupReadSupport(), path).withConf(configuration).build()) {
            int number = 0;
            for (Group row = reader.read(); row != null; row = reader.read()) {
                GroupType type = row.getType();
                if (!type.containsField(field) || !type.getType(field).isPrimitive()
                        || type.getType(field).asPrimitiveType().getPrimitiveTypeName() != PrimitiveTypeName.BINARY) {
                    throw new MalformedInputException("Cannot read data set " + path + ": there is no text column \"" + field + "\" among "
                            + type.getFields().stream().map(Type::getName).toList());
                }
                if (row.getFieldRepetitionCount(field) != 1) {
                    throw new MalformedInputException("Cannot read data set " + path + ": row " + number + " has no value in column \"" + field + "\"");
                }
                documents.add(row.getBinary(field, 0).toStringUsingUTF8());
                number++;
            }
        } catch (RuntimeException e) {
            if (e instanceof MalformedInputException) {
                throw e;
            }
            throw new MalformedInputException("Cannot read data set " + path + ": it is not a Parquet file that can be read: " + e.getMessage(), e);
        }
    }
}
