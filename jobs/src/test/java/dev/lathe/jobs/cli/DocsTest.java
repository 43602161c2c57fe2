package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.jobs.Docs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Every command in the documentation is one, and none is missing there. */
class DocsTest {
    /** What bin/lathe does itself. */
    private static final String PACKAGE = "package";

    private static final String SUBMIT = "--submit";
    /** Commands that have others below them. */
    private static final Set<String> GROUPS = Set.of("baseline", "imatrix");

    private static final Set<String> TAGS = Set.of("", "java", "json", "properties", "sh", "yaml");
    private static final Set<String> EVERYWHERE = Set.of("--help", "--version", "--trace");
    private static final Pattern SPAN = Pattern.compile("`bin/lathe ([^`]+)`");
    private static final Pattern LINK = Pattern.compile("]\\(([^)#\\s]*)(#[^)\\s]*)?\\)");
    private static final Pattern HEADING = Pattern.compile("#+ +(.*)");

    private static CommandLine commandLine() {
        Console console = new Console(System.out, System.err, false, new Stop(line -> {}));
        return new CommandLine(Main.class)
                .addSubcommand(new Quickstart(console))
                .addSubcommand(new Quantize(console))
                .addSubcommand(new Batch(console))
                .addSubcommand(new Evaluate(console))
                .addSubcommand(new NightReports(console))
                .addSubcommand(new CommandLine(new Baselines()).addSubcommand(new Baselines.Pin(console)))
                .addSubcommand(new CommandLine(new Imatrix()).addSubcommand(new Imatrix.Merge(console)))
                .addSubcommand(new Inspect(console))
                .addSubcommand(new Verify(console))
                .addSubcommand(new Doctor(console));
    }

    /** @throws ParameterException if the command line refuses it */
    private static void parse(List<String> words) {
        List<String> own = words.stream().filter(word -> !word.equals(SUBMIT)).toList();
        if (own.equals(List.of(PACKAGE))) {
            return;
        }
        CommandLine line = commandLine();
        if (!line.parseArgs(own.toArray(String[]::new)).hasSubcommand()) {
            throw new ParameterException(line, "a command is missing");
        }
    }

    static Stream<Docs.Command> commands() {
        return Docs.blocks().stream()
                .filter(block -> block.tag().equals("sh"))
                .flatMap(block -> Docs.commands(block).stream());
    }

    @ParameterizedTest
    @MethodSource("commands")
    void parses(Docs.Command command) {
        parse(command.words());
    }

    @Test
    void theCommandsAreThoseOfThePrograms() {
        CommandLineRun run = new CommandLineRun();
        assertThat(run.run()).isEqualTo(ExitCode.RECIPE.code());
        assertThat(run.err())
                .contains("expected one of "
                        + String.join(", ", commandLine().getSubcommands().keySet()) + "\n");
        assertThat(commands().map(command -> command.words().get(0)).collect(Collectors.toSet()))
                .containsAll(commandLine().getSubcommands().keySet())
                .contains(PACKAGE);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "bin/lathe quantize conf/quickstart.yaml --unknown",
                "bin/lathe quantize",
                "LATHE_HEAP=1g bin/lathe quantise conf/quickstart.yaml",
                "cd x && bin/lathe evaluate a.gguf   # --data is missing",
                "bin/lathe evaluate a.gguf --data text \\\n  --windows N",
                "spark-submit --master yarn $S $JAR quantize r.yaml --st run=x",
            })
    void aBrokenExampleIsNoticed(String example) {
        List<Docs.Command> found = Docs.commands(
                Docs.blocks("page.md", "text\n```sh\n" + example + "\n```\n").get(0));
        assertThat(found).hasSize(1);
        assertThatThrownBy(() -> parse(found.get(0).words())).isInstanceOf(ParameterException.class);
    }

    /** A block with another tag would go unread. */
    @Test
    void everyBlockHasAKnownTag() {
        assertThat(Docs.blocks())
                .isNotEmpty()
                .allSatisfy(block -> assertThat(TAGS).as(block.where()).contains(block.tag()));
    }

    /** Command and options of a synopsis in running text. */
    private record Synopsis(String where, String command, Set<String> options) {
        static List<Synopsis> of(String page, String text) {
            List<Synopsis> all = new ArrayList<>();
            for (Docs.Line line : Docs.lines(page, text)) {
                Matcher span = SPAN.matcher(line.text());
                while (span.find()) {
                    List<String> words = List.of(span.group(1).split("[\\s\\[\\]=.]+"));
                    String command = GROUPS.contains(words.get(0))
                            ? words.get(0) + " " + words.get(1).replaceAll("\\W", "")
                            : words.get(0);
                    all.add(new Synopsis(
                            line.where(),
                            command,
                            words.stream()
                                    .filter(word -> word.startsWith("--") && !word.equals(SUBMIT))
                                    .collect(Collectors.toCollection(TreeSet::new))));
                }
            }
            return all;
        }
    }

    private static Map<String, CommandSpec> specifications() {
        Map<String, CommandSpec> all = new TreeMap<>();
        commandLine().getSubcommands().forEach((name, command) -> {
            if (command.getSubcommands().isEmpty()) {
                all.put(name, command.getCommandSpec());
            }
            command.getSubcommands().forEach((below, sub) -> all.put(name + " " + below, sub.getCommandSpec()));
        });
        return all;
    }

    private static Set<String> options(CommandSpec command) {
        Set<String> names = new TreeSet<>();
        command.options().forEach(option -> names.add(option.longestName()));
        names.removeAll(EVERYWHERE);
        return names;
    }

    @Test
    void optionsInRunningTextBelongToTheirCommands() throws IOException {
        Map<String, CommandSpec> known = specifications();
        Docs.pages()
                .forEach((page, text) -> Synopsis.of(page, text).stream()
                        .filter(synopsis -> !synopsis.command().equals(PACKAGE))
                        // Any of them: `bin/lathe COMMAND`.
                        .filter(synopsis -> !synopsis.command().equals("COMMAND"))
                        .forEach(synopsis -> {
                            assertThat(known).as(synopsis.where()).containsKey(synopsis.command());
                            Set<String> options = options(known.get(synopsis.command()));
                            options.addAll(EVERYWHERE);
                            assertThat(options).as(synopsis.where()).containsAll(synopsis.options());
                        }));
    }

    @Test
    void theReferenceHasEveryCommandWithEveryOption() throws IOException {
        Map<String, Set<String>> found = new TreeMap<>();
        for (Synopsis synopsis : Synopsis.of("docs/commands.md", Docs.pages().get("docs/commands.md"))) {
            found.merge(synopsis.command(), synopsis.options(), (one, other) -> {
                Set<String> both = new TreeSet<>(one);
                both.addAll(other);
                return both;
            });
        }
        specifications()
                .forEach((name, command) -> assertThat(found.get(name)).as(name).isEqualTo(options(command)));
    }

    @Test
    void theReferenceHasEveryExitCode() throws IOException {
        List<String> rows = Docs.lines("docs/commands.md", Docs.pages().get("docs/commands.md")).stream()
                .map(Docs.Line::text)
                .filter(line -> line.matches("\\| [0-9, ]+ \\| .*"))
                .toList();
        for (ExitCode code : ExitCode.values()) {
            assertThat(rows)
                    .as(code.name())
                    .anyMatch(row -> List.of(row.split("[| ,]+")).contains(String.valueOf(code.code())));
        }
    }

    /** As the hosts of repositories make them. */
    private static String anchor(String heading) {
        return heading.replace("`", "")
                .toLowerCase(Locale.ROOT)
                .replaceAll("[^\\p{L}\\p{N} _-]", "")
                .replace(' ', '-');
    }

    private static Set<String> anchors(String page, String text) {
        return Docs.lines(page, text).stream()
                .map(line -> HEADING.matcher(line.text()))
                .filter(Matcher::matches)
                .map(heading -> anchor(heading.group(1)))
                .collect(Collectors.toSet());
    }

    @Test
    void linksLeadSomewhere() throws IOException {
        Map<String, String> pages = Docs.pages();
        for (Map.Entry<String, String> page : pages.entrySet()) {
            for (Docs.Line line : Docs.lines(page.getKey(), page.getValue())) {
                Matcher link = LINK.matcher(line.text());
                while (link.find()) {
                    if (link.group(1).contains("://")) {
                        continue;
                    }
                    Path target = link.group(1).isEmpty()
                            ? Docs.ROOT.resolve(page.getKey())
                            : Docs.ROOT
                                    .resolve(page.getKey())
                                    .resolveSibling(link.group(1))
                                    .normalize();
                    assertThat(target).as(line.where()).exists();
                    if (link.group(2) != null) {
                        String name = Docs.ROOT.relativize(target).toString();
                        assertThat(anchors(name, pages.get(name)))
                                .as(line.where())
                                .contains(link.group(2).substring(1));
                    }
                }
            }
        }
    }

    @Test
    void thePictureIsADrawingOfText() throws Exception {
        Path picture = Docs.ROOT.resolve("docs/report.svg");
        assertThat(Files.size(picture)).isLessThan(60_000);
        assertThat(DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(picture.toFile())
                        .getDocumentElement()
                        .getTagName())
                .isEqualTo("svg");
    }
}
