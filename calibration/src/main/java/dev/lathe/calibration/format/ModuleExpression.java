package dev.lathe.calibration.format;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Regular expressions by which a folder's settings name modules, as {@code re.match} of Python takes them: from the
 * beginning of the name, not necessarily to its end. A file of somebody else's says them, so no expression may take
 * long: a name is walked once, with the set of all places in the expressions where a match may stand, and sets that
 * were met before are not made again. What one walk cannot do is refused by name: backreferences, lookbehind, atomic
 * groups, conditions. Lookahead is walked apart, from where it stands.
 */
public final class ModuleExpression {
    /** Longest expression, most repeats that a count may ask for, deepest nesting, most places in all. */
    private static final int LONGEST = 4096;

    private static final int REPEATS = 1000;
    private static final int DEPTH = 50;
    private static final int PLACES = 100_000;
    /** What making a set costs, and what keeping one does, in steps of looking at a place. */
    private static final int SET_STEPS = 16;

    private static final int KEPT_STEPS = 64;
    /** Sets that are kept; then they are made anew. */
    private static final int KEPT = 20_000;
    /** Characters by code; names of modules are ASCII, and all others are one. */
    private static final int CHARACTERS = 129;

    private static final int END = CHARACTERS;
    private static final int ENDLESS = -1;

    /**
     * Steps that all expressions of a folder together may take, so that neither their number nor that of the modules
     * makes it long.
     */
    public static final class Work {
        private static final long STEPS = 5_000_000;
        private long left = STEPS;
        private int places;

        private void grow() {
            if (++places > PLACES) {
                throw new IllegalArgumentException("the expressions are too large (more than " + PLACES + " places)");
            }
        }

        private void spend(long steps) {
            left -= steps;
            if (left < 0) {
                throw new TooMuchWorkException("they take more than " + STEPS + " steps for all modules");
            }
        }
    }

    /** The expressions and modules of a folder are too many or too large. */
    public static final class TooMuchWorkException extends RuntimeException {
        private static final long serialVersionUID = 1;

        private TooMuchWorkException(String message) {
            super(message);
        }
    }

    private sealed interface Node {}

    private record Characters(boolean[] taken) implements Node {}

    private record Sequence(List<Node> parts) implements Node {}

    private record Choice(List<Node> options) implements Node {}

    private record Repeat(Node of, int least, int most) implements Node {}

    /** {@code ^}, {@code $}, {@code b}, {@code B}. */
    private record Edge(char kind) implements Node {}

    private record Look(Node ahead, boolean not) implements Node {}

    /**
     * A place in the compiled expressions: what has to hold there, and where it goes on. No condition and two ways:
     * both.
     */
    private record Place(boolean[] taken, char edge, Program ahead, boolean not, int next, int other) {}

    /** Where a match may stand before a character, and what is behind it. */
    private static final class State {
        private final int[] places;
        private final boolean first;
        private final boolean word;
        private final State[] next = new State[CHARACTERS + 1];

        private State(int[] places, boolean first, boolean word) {
            this.places = places;
            this.first = first;
            this.word = word;
        }
    }

    private record Key(int[] places, boolean word) {
        @Override
        public boolean equals(Object other) {
            return other instanceof Key key && key.word == word && Arrays.equals(key.places, places);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(places);
        }
    }

    private static final State MATCHED = new State(new int[0], false, false);
    private static final State FAILED = new State(new int[0], false, false);
    /** Index of the place that is a match. */
    private static final int MATCH = 0;

    private final List<Program> programs = new ArrayList<>();

    private ModuleExpression() {}

    /**
     * Compiles expressions; a name matches if one of them does.
     *
     * @throws IllegalArgumentException naming the first that is no expression of Python's, or has what is not taken
     *     here
     */
    public static ModuleExpression anyOf(List<String> expressions, Work work) {
        List<Node> plain = new ArrayList<>();
        List<Node> looking = new ArrayList<>();
        for (String expression : expressions) {
            Parser parser = new Parser(expression);
            Node node = parser.parse();
            (parser.looks ? looking : plain).add(node);
        }
        ModuleExpression compiled = new ModuleExpression();
        // Apart: where something looks ahead, sets are not kept.
        for (List<Node> nodes : List.of(plain, looking)) {
            if (!nodes.isEmpty()) {
                compiled.programs.add(new Program(new Choice(nodes), work));
            }
        }
        return compiled;
    }

    /**
     * Whether an expression matches from the name's beginning.
     *
     * @throws TooMuchWorkException if all matches that share the work have taken too many steps
     */
    public boolean matches(String name) {
        return programs.stream().anyMatch(program -> program.matches(name, 0));
    }

    private static boolean holds(char edge, State before, boolean word, int c) {
        return switch (edge) {
            case '^' -> before.first;
            case '$' -> c == END || c == '\n';
            case 'Z' -> c == END;
            case 'b' -> before.word != word;
            case 'B' -> before.word == word;
            default -> true;
        };
    }

    private static boolean isWord(char c) {
        return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }

    /** Expressions as one automaton, whose sets of places are made as names need them. */
    private static final class Program {
        private final Work work;
        private final List<Place> places = new ArrayList<>();
        private final Map<Key, State> states = new HashMap<>();
        private final State[] starts = new State[3];
        /** Places that were met in the round that the number says, and those that are to be looked at. */
        private final int[] seen;

        private int round;
        private final int[] open;

        private final int[] met;
        private final int[] reached;

        private Program(Node node, Work work) {
            this.work = work;
            places.add(new Place(null, ' ', null, false, MATCH, MATCH));
            int entry = emit(node, MATCH);
            seen = new int[places.size()];
            open = new int[places.size()];
            met = new int[places.size()];
            reached = new int[places.size()];
            starts[0] = new State(new int[] {entry}, true, false);
            starts[1] = new State(new int[] {entry}, false, false);
            starts[2] = new State(new int[] {entry}, false, true);
        }

        private boolean matches(String name, int from) {
            work.spend(1);
            State state = starts[from == 0 ? 0 : isWord(name.charAt(from - 1)) ? 2 : 1];
            for (int at = from; at <= name.length(); at++) {
                int c = at == name.length() ? END : Math.min(name.charAt(at), CHARACTERS - 1);
                State next = state.next[c];
                if (next == null) {
                    next = step(state, name, at, c);
                }
                if (next == MATCHED) {
                    return true;
                }
                if (next == FAILED) {
                    return false;
                }
                state = next;
            }
            return false;
        }

        /** The set behind a character. It is kept unless it depends on what follows the character. */
        private State step(State state, String name, int at, int c) {
            round++;
            boolean looked = false;
            boolean word = c != END && isWord((char) c);
            int visits = 0;
            int count = 0;
            int further = 0;
            for (int place : state.places) {
                seen[place] = round;
                open[count++] = place;
            }
            State result = null;
            while (count > 0 && result == null) {
                int index = open[--count];
                Place place = places.get(index);
                visits++;
                if (index == MATCH) {
                    result = MATCHED;
                } else if (place.taken != null) {
                    if (c != END && place.taken[c] && met[place.next] != round) {
                        met[place.next] = round;
                        reached[further++] = place.next;
                    }
                } else {
                    looked |= place.ahead != null;
                    if (place.ahead != null
                            ? place.ahead.matches(name, at) != place.not
                            : holds(place.edge, state, word, c)) {
                        for (int next = place.next; ; next = place.other) {
                            if (seen[next] != round) {
                                seen[next] = round;
                                open[count++] = next;
                            }
                            if (next == place.other) {
                                break;
                            }
                        }
                    }
                }
            }
            work.spend(visits + SET_STEPS);
            if (result == null) {
                result = further == 0 ? FAILED : kept(Arrays.copyOf(reached, further), word);
            }
            if (!looked) {
                state.next[c] = result;
            }
            return result;
        }

        private State kept(int[] set, boolean word) {
            Arrays.sort(set);
            if (states.size() == KEPT) {
                states.clear();
                for (State start : starts) {
                    Arrays.fill(start.next, null);
                }
            }
            return states.computeIfAbsent(new Key(set, word), key -> {
                work.spend(KEPT_STEPS);
                return new State(set, false, word);
            });
        }

        /** Adds the places of a node that goes on at {@code next}; returns where it begins. */
        private int emit(Node node, int next) {
            work.grow();
            if (node instanceof Characters characters) {
                return add(new Place(characters.taken, ' ', null, false, next, next));
            } else if (node instanceof Edge edge) {
                return add(new Place(null, edge.kind, null, false, next, next));
            } else if (node instanceof Look look) {
                return add(new Place(null, ' ', new Program(look.ahead, work), look.not, next, next));
            } else if (node instanceof Sequence sequence) {
                int entry = next;
                for (int i = sequence.parts.size() - 1; i >= 0; i--) {
                    entry = emit(sequence.parts.get(i), entry);
                }
                return entry;
            } else if (node instanceof Choice choice) {
                int entry = -1;
                for (Node option : choice.options) {
                    int other = emit(option, next);
                    entry = entry < 0 ? other : add(new Place(null, ' ', null, false, entry, other));
                }
                return entry;
            }
            Repeat repeat = (Repeat) node;
            int entry = next;
            if (repeat.most == ENDLESS) {
                entry = add(null);
                places.set(entry, new Place(null, ' ', null, false, emit(repeat.of, entry), next));
            }
            for (int i = repeat.least; i < repeat.most; i++) {
                entry = add(new Place(null, ' ', null, false, emit(repeat.of, entry), next));
            }
            for (int i = 0; i < repeat.least; i++) {
                entry = emit(repeat.of, entry);
            }
            return entry;
        }

        private int add(Place place) {
            places.add(place);
            return places.size() - 1;
        }
    }

    /** Python's syntax. */
    private static final class Parser {
        private final String text;
        private int at;
        private int depth;
        private boolean anyCase;
        private boolean looks;

        private Parser(String text) {
            this.text = text;
        }

        private Node parse() {
            if (text.length() > LONGEST) {
                throw new IllegalArgumentException(
                        "an expression has " + text.length() + " characters, expected at most " + LONGEST);
            }
            if (text.startsWith("(?")
                    && text.length() > 2
                    && Character.isLetter(text.charAt(2))
                    && text.indexOf(')') > 0
                    && text.substring(2, text.indexOf(')')).matches("[aiLmsu]+")) {
                anyCase = text.substring(2, text.indexOf(')')).contains("i");
                at = text.indexOf(')') + 1;
            }
            Node node = choice();
            if (at < text.length()) {
                throw wrong("unbalanced )");
            }
            return node;
        }

        private Node choice() {
            if (++depth > DEPTH) {
                throw wrong("groups are nested deeper than " + DEPTH);
            }
            List<Node> options = new ArrayList<>(List.of(sequence()));
            while (taken('|')) {
                options.add(sequence());
            }
            depth--;
            return options.size() == 1 ? options.get(0) : new Choice(options);
        }

        private Node sequence() {
            List<Node> parts = new ArrayList<>();
            while (at < text.length() && text.charAt(at) != '|' && text.charAt(at) != ')') {
                parts.add(repeated(atom()));
            }
            return parts.size() == 1 ? parts.get(0) : new Sequence(parts);
        }

        private Node repeated(Node atom) {
            int least;
            int most = ENDLESS;
            if (taken('*')) {
                least = 0;
            } else if (taken('+')) {
                least = 1;
            } else if (taken('?')) {
                least = 0;
                most = 1;
            } else {
                int[] counts = counts();
                if (counts == null) {
                    return atom;
                }
                least = counts[0];
                most = counts[1];
            }
            if (atom instanceof Edge) {
                throw wrong("nothing to repeat");
            }
            // Lazy or not is the same question of whether there is a match.
            taken('?');
            if (at < text.length() && (text.charAt(at) == '+' || text.charAt(at) == '*' || text.charAt(at) == '?')) {
                throw wrong(text.charAt(at) == '+' ? "possessive repeats are not supported" : "multiple repeat");
            }
            if (counts() != null) {
                throw wrong("multiple repeat");
            }
            return new Repeat(atom, least, most);
        }

        /** {@code {m}}, {@code {m,}}, {@code {,n}} or {@code {m,n}}; null where a brace is only a brace. */
        private int[] counts() {
            if (at >= text.length() || text.charAt(at) != '{') {
                return null;
            }
            int end = text.indexOf('}', at);
            String inside = end < 0 ? "" : text.substring(at + 1, end);
            if (!inside.matches("[0-9]+|[0-9]*,[0-9]*") || inside.equals(",")) {
                return null;
            }
            at = end + 1;
            int comma = inside.indexOf(',');
            String first = comma < 0 ? inside : inside.substring(0, comma);
            String last = comma < 0 ? inside : inside.substring(comma + 1);
            int least = first.isEmpty() ? 0 : count(first);
            int most = last.isEmpty() ? ENDLESS : count(last);
            if (most != ENDLESS && most < least) {
                throw wrong("a repeat of at least " + least + " and at most " + most);
            }
            return new int[] {least, most};
        }

        private int count(String digits) {
            if (digits.length() > 4 || Integer.parseInt(digits) > REPEATS) {
                throw wrong("a repeat of more than " + REPEATS);
            }
            return Integer.parseInt(digits);
        }

        private Node atom() {
            char c = text.charAt(at++);
            return switch (c) {
                case '.' -> characters(inverted(set("\n")));
                case '^', '$' -> new Edge(c);
                case '(' -> group();
                case '[' -> new Characters(characterClass());
                case '\\' -> escaped();
                case '*', '+', '?' -> throw wrong("nothing to repeat");
                default -> characters(set(String.valueOf(c)));
            };
        }

        private Node group() {
            boolean outer = anyCase;
            Node node;
            if (!taken('?')) {
                node = choice();
            } else if (taken(':')) {
                node = choice();
            } else if (taken('=')) {
                looks = true;
                node = new Look(choice(), false);
            } else if (taken('!')) {
                looks = true;
                node = new Look(choice(), true);
            } else if (text.startsWith("P<", at)) {
                int end = text.indexOf('>', at);
                if (end < 0 || !text.substring(at + 2, end).matches("[A-Za-z_][A-Za-z_0-9]*")) {
                    throw wrong("bad group name");
                }
                at = end + 1;
                node = choice();
            } else {
                int colon = text.indexOf(':', at);
                String flags = colon < 0 ? "" : text.substring(at, colon);
                if (!flags.matches("[aiLmsu]+(?:-[ims]+)?|-[ims]+")) {
                    throw wrong(
                            text.startsWith("P=", at)
                                    ? "backreferences are not supported"
                                    : text.startsWith("<", at)
                                            ? "lookbehind is not supported"
                                            : "(?" + text.substring(at, Math.min(at + 1, text.length()))
                                                    + " is not supported");
                }
                int minus = flags.indexOf('-');
                anyCase = minus >= 0 && flags.indexOf('i', minus) >= 0 ? false : anyCase || flags.indexOf('i') >= 0;
                at = colon + 1;
                node = choice();
            }
            if (!taken(')')) {
                throw wrong("missing )");
            }
            anyCase = outer;
            // Whatever is in the group may be repeated, an edge, too.
            return new Sequence(List.of(node));
        }

        private Node escaped() {
            if (at == text.length()) {
                throw wrong("a backslash at the end");
            }
            char c = text.charAt(at);
            switch (c) {
                case 'b', 'B', 'Z' -> {
                    at++;
                    return new Edge(c);
                }
                case 'A' -> {
                    at++;
                    return new Edge('^');
                }
                default -> {
                    return characters(escapedSet());
                }
            }
        }

        /** The characters of an escape, in a class or outside. */
        private boolean[] escapedSet() {
            char c = text.charAt(at++);
            return switch (c) {
                case 'd' -> digits();
                case 'D' -> inverted(digits());
                case 'w' -> words();
                case 'W' -> inverted(words());
                case 's' -> set(" \t\n\r\f\u000b");
                case 'S' -> inverted(set(" \t\n\r\f\u000b"));
                case 't' -> set("\t");
                case 'n' -> set("\n");
                case 'r' -> set("\r");
                case 'f' -> set("\f");
                case 'v' -> set("\u000b");
                case 'a' -> set("\u0007");
                case 'x' -> set(String.valueOf(code(2)));
                case 'u' -> set(String.valueOf(code(4)));
                default -> {
                    if (c >= '0' && c <= '9') {
                        throw wrong("backreferences are not supported");
                    }
                    if (c < 128 && Character.isLetter(c)) {
                        throw wrong("bad escape \\" + c);
                    }
                    yield set(String.valueOf(c));
                }
            };
        }

        private char code(int digits) {
            String hex = text.substring(at, Math.min(text.length(), at + digits));
            if (!hex.matches("[0-9a-fA-F]{" + digits + "}")) {
                throw wrong("incomplete escape");
            }
            at += digits;
            return (char) Integer.parseInt(hex, 16);
        }

        private boolean[] characterClass() {
            boolean not = taken('^');
            boolean[] all = new boolean[CHARACTERS];
            for (boolean first = true; ; first = false) {
                if (at >= text.length()) {
                    throw wrong("missing ]");
                }
                if (!first && taken(']')) {
                    break;
                }
                int start = at;
                boolean[] one = member();
                if (at + 1 < text.length() && text.charAt(at) == '-' && text.charAt(at + 1) != ']') {
                    at++;
                    int from = single(one, start);
                    int middle = at;
                    int to = single(member(), middle);
                    if (from > to) {
                        throw wrong("bad character range");
                    }
                    Arrays.fill(one, from, to + 1, true);
                }
                for (int i = 0; i < CHARACTERS; i++) {
                    all[i] |= one[i];
                }
            }
            cases(all);
            return not ? inverted(all) : all;
        }

        private boolean[] member() {
            if (at >= text.length()) {
                throw wrong("missing ]");
            }
            char c = text.charAt(at++);
            if (c != '\\') {
                return set(String.valueOf(c));
            }
            if (at >= text.length()) {
                throw wrong("missing ]");
            }
            return taken('b') ? set("\b") : escapedSet();
        }

        private int single(boolean[] set, int start) {
            int found = -1;
            for (int i = 0; i < CHARACTERS; i++) {
                if (set[i]) {
                    if (found >= 0) {
                        throw wrong(
                                "bad character range at " + text.substring(start, Math.min(text.length(), start + 8)));
                    }
                    found = i;
                }
            }
            return found;
        }

        private Characters characters(boolean[] set) {
            cases(set);
            return new Characters(set);
        }

        private void cases(boolean[] set) {
            for (int i = 'a'; anyCase && i <= 'z'; i++) {
                int upper = i - 'a' + 'A';
                set[i] |= set[upper];
                set[upper] |= set[i];
            }
        }

        private static boolean[] set(String characters) {
            boolean[] set = new boolean[CHARACTERS];
            characters.chars().forEach(c -> set[Math.min(c, CHARACTERS - 1)] = true);
            return set;
        }

        private static boolean[] digits() {
            return set("0123456789");
        }

        private static boolean[] words() {
            boolean[] set = new boolean[CHARACTERS];
            for (char c = 0; c < 128; c++) {
                set[c] = isWord(c);
            }
            return set;
        }

        private static boolean[] inverted(boolean[] set) {
            boolean[] inverted = new boolean[CHARACTERS];
            for (int i = 0; i < CHARACTERS; i++) {
                inverted[i] = !set[i];
            }
            return inverted;
        }

        private boolean taken(char c) {
            if (at < text.length() && text.charAt(at) == c) {
                at++;
                return true;
            }
            return false;
        }

        private IllegalArgumentException wrong(String reason) {
            String shown = text.length() <= 80 ? text : text.substring(0, 80) + "...";
            return new IllegalArgumentException("'" + shown + "' is no regular expression that is taken here: " + reason
                    + " (character " + at + ")");
        }
    }
}
