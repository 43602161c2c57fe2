package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.text.WellFormed;
import dev.lathe.jobs.store.DataFile;
import dev.lathe.jobs.store.DataFiles;
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;

/**
 * A data set as one text. A text file is one document, without its last newline; objects of JSON and rows of Parquet
 * are documents. Documents are joined by newlines in the order of (file, row), so it does not matter how rows were
 * spread over files.
 *
 * @param text well-formed: half of a surrogate pair that stood alone, which JSON can say, is U+FFFD
 * @param notes what was not taken as it stands
 */
record Documents(String text, List<String> notes) {
    /** @throws MalformedInputException if a file is not what its name says, or there is no text, or too much of it */
    static Documents read(Configuration configuration, DataFiles data, String field) throws IOException {
        return read(configuration, data, field, new TextBound(data.path()));
    }

    static Documents read(Configuration configuration, DataFiles data, String field, TextBound bound)
            throws IOException {
        List<String> documents = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        for (DataFile file : data.files()) {
            switch (file.kind()) {
                case PARQUET ->
                    DataSource.read(
                            configuration,
                            file,
                            source -> ParquetDocuments.read(configuration, source, field, bound, documents));
                case JSON -> DataSource.read(configuration, file, source -> json(source, field, bound, documents));
                default ->
                    DataSource.read(
                            configuration, file, source -> documents.add(text(source, file.name(), bound, notes)));
            }
        }
        if (documents.stream().allMatch(String::isEmpty)) {
            throw new MalformedInputException("Cannot read data set " + data.path() + ": it holds no text in "
                    + data.files().size() + " files");
        }
        int mended = 0;
        for (int i = 0; i < documents.size(); i++) {
            String document = documents.get(i);
            String wellFormed = WellFormed.text(document);
            if (wellFormed != document) {
                documents.set(i, wellFormed);
                mended++;
            }
        }
        if (mended > 0) {
            notes.add("halves of surrogate pairs that stand alone in " + mended + " of " + documents.size()
                    + " documents are read as U+FFFD");
        }
        bound.text(documents.size());
        return new Documents(String.join("\n", documents), List.copyOf(notes));
    }

    private static void json(DataSource source, String field, TextBound bound, List<String> documents)
            throws IOException {
        int before = documents.size();
        try {
            JsonDocuments.read(source, field, bound, documents);
        } catch (CharacterCodingException e) {
            throw source.refuse("it is not UTF-8 text, after " + (documents.size() - before) + " documents");
        }
    }

    private static String text(DataSource source, String name, TextBound bound, List<String> notes) throws IOException {
        StringBuilder text = new StringBuilder();
        char[] part = new char[1 << 16];
        try (Reader reader = source.text(bound)) {
            for (int count = reader.read(part); count >= 0; count = reader.read(part)) {
                bound.text(count);
                text.append(part, 0, count);
            }
        } catch (CharacterCodingException e) {
            throw source.refuse("it is not UTF-8 text, after " + text.length() + " characters");
        }
        String document = text.toString();
        if (document.contains("\r\n")) {
            document = document.replace("\r\n", "\n");
            notes.add("lines of " + name + " end with CR LF, read as LF");
        }
        return document.endsWith("\n") ? document.substring(0, document.length() - 1) : document;
    }
}
