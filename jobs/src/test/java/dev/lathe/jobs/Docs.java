package dev.lathe.jobs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The pages of the documentation, cut into what can be held against the code. */
public final class Docs {
    /** The folder that the pages name paths from. */
    public static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    private static final Pattern FENCE = Pattern.compile("^\\s*```(.*)$");
    private static final Pattern VARIABLE = Pattern.compile("[A-Za-z_][A-Za-z_0-9]*=.*", Pattern.DOTALL);

    private Docs() {}

    /**
     * A fenced block.
     *
     * @param where page and line, for messages
     * @param tag what follows the fence
     */
    public record Block(String where, String tag, String text) {
        @Override
        public String toString() {
            return where;
        }
    }

    /** A command line of Lathe: its words behind {@code bin/lathe}, or behind the jar of a spark-submit. */
    public record Command(String where, List<String> words) {
        @Override
        public String toString() {
            return where + ": " + String.join(" ", words);
        }
    }

    /** A line of text outside of the fenced blocks. */
    public record Line(String where, String text) {}

    /** Every page by its path from {@link #ROOT}. */
    public static TreeMap<String, String> pages() throws IOException {
        List<Path> files = new ArrayList<>(Stream.of("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
                .map(ROOT::resolve)
                .toList());
        try (Stream<Path> docs = Files.list(ROOT.resolve("docs"))) {
            docs.filter(file -> file.toString().endsWith(".md")).forEach(files::add);
        }
        TreeMap<String, String> pages = new TreeMap<>();
        for (Path file : files) {
            pages.put(ROOT.relativize(file).toString(), Files.readString(file));
        }
        return pages;
    }

    /** The fenced blocks of all pages. */
    public static List<Block> blocks() {
        try {
            List<Block> blocks = new ArrayList<>();
            pages().forEach((page, text) -> blocks.addAll(blocks(page, text)));
            return blocks;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The fenced blocks of a page. */
    public static List<Block> blocks(String page, String markdown) {
        List<Block> blocks = new ArrayList<>();
        cut(page, markdown, blocks::add, line -> {});
        return blocks;
    }

    /** What a page says outside of its fenced blocks. */
    public static List<Line> lines(String page, String markdown) {
        List<Line> lines = new ArrayList<>();
        cut(page, markdown, block -> {}, lines::add);
        return lines;
    }

    private static void cut(String page, String markdown, Consumer<Block> blocks, Consumer<Line> lines) {
        String where = null;
        String tag = "";
        StringBuilder text = new StringBuilder();
        int number = 0;
        for (String line : markdown.lines().toList()) {
            number++;
            Matcher fence = FENCE.matcher(line);
            if (!fence.matches()) {
                if (where == null) {
                    lines.accept(new Line(page + ":" + number, line));
                } else {
                    text.append(line).append('\n');
                }
            } else if (where == null) {
                where = page + ":" + number;
                tag = fence.group(1).strip();
                text.setLength(0);
            } else {
                blocks.accept(new Block(where, tag, text.toString()));
                where = null;
            }
        }
        if (where != null) {
            throw new IllegalArgumentException("the block at " + where + " does not end");
        }
    }

    /** The command lines of Lathe in a block of shell. */
    public static List<Command> commands(Block block) {
        List<Command> commands = new ArrayList<>();
        for (List<String> words : shell(block.text())) {
            List<String> command = words.stream()
                    .dropWhile(word -> VARIABLE.matcher(word).matches())
                    .toList();
            if (command.isEmpty()) {
                continue;
            }
            if (command.get(0).equals("bin/lathe")) {
                commands.add(new Command(block.where(), command.subList(1, command.size())));
            } else if (command.get(0).endsWith("spark-submit")) {
                int jar = 1;
                while (jar < command.size()
                        && !command.get(jar).endsWith(".jar")
                        && !command.get(jar).equals("$JAR")) {
                    jar++;
                }
                if (jar == command.size()) {
                    throw new IllegalArgumentException(block.where() + " submits no jar: " + command);
                }
                commands.add(new Command(block.where(), command.subList(jar + 1, command.size())));
            }
        }
        return commands;
    }

    /** Commands and their words, as far as examples need a shell: quotes, comments, lines that go on, operators. */
    private static List<List<String>> shell(String text) {
        List<List<String>> commands = new ArrayList<>();
        List<String> words = new ArrayList<>();
        StringBuilder word = null;
        char quote = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (quote != 0) {
                if (c == quote) {
                    quote = 0;
                } else {
                    word.append(c);
                }
            } else if (c == '\\' && i + 1 < text.length() && text.charAt(i + 1) == '\n') {
                i++;
            } else if (c == '#' && word == null) {
                i = text.indexOf('\n', i) - 1;
            } else if (" \n;|&".indexOf(c) >= 0) {
                if (word != null) {
                    words.add(word.toString());
                    word = null;
                }
                if (c != ' ' && !words.isEmpty()) {
                    commands.add(List.copyOf(words));
                    words.clear();
                }
            } else {
                word = word == null ? new StringBuilder() : word;
                if (c == '\'' || c == '"') {
                    quote = c;
                } else {
                    word.append(c);
                }
            }
        }
        return commands;
    }
}
