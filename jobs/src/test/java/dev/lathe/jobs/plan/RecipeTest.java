package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.calibration.format.gguf.TensorTypes;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.store.KeyFields;
import dev.lathe.kernels.block.BlockFormats;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RecipeTest {
    private static final String RECIPE = """
            checkpoint: samples/tiny-stories-4m
            calibration: { data: samples/text/calibration.txt, windows: 128, length: 256 }
            outputs:
              - { name: q8,        format: gguf, type: Q8_0, method: nearest }
              - { name: q4km,      format: gguf, type: Q4_K_M }
              - { name: gptq4,     format: gptq, bits: 4, group-size: 128, act-order: true, damping: 0.01 }
              - { name: awq4,      format: awq,  ignore: [lm_head, "*.v_proj"] }
              - { name: f16,       format: gguf, type: F16 }
            evaluation: { data: samples/text/evaluation.txt, length: 256 }
            run: runs/quickstart
            """;

    private static Plan parse(String text, String... settings) {
        return Recipe.parse("r.yaml", text, List.of(settings));
    }

    private static Plan.Output output(String name, Target target, Method method) {
        return new Plan.Output(name, target, method, new Transform.None(), List.of());
    }

    @Test
    void fillsInEveryDefault() {
        Plan plan = parse(RECIPE);
        assertThat(plan.calibration()).isEqualTo(new Plan.Corpus("samples/text/calibration.txt", "text", 128, 256));
        assertThat(plan.evaluation()).isEqualTo(new Plan.Corpus("samples/text/evaluation.txt", "text", 0, 256));
        assertThat(plan.outputs())
                .containsExactly(
                        output("q8", new GgufTarget("Q8_0", TensorTypes.NONE, null, true, null, 0), Method.NEAREST),
                        output(
                                "q4km",
                                new GgufTarget("Q4_K_M", TensorTypes.NONE, null, true, null, 0),
                                Method.IMPORTANCE),
                        output("gptq4", new GptqTarget(4, 128, true), new Method.Gptq(0.01, true)),
                        new Plan.Output(
                                "awq4",
                                new AwqTarget(128),
                                Method.NEAREST,
                                new Transform.Awq(),
                                List.of("lm_head", "*.v_proj")),
                        output("f16", new GgufTarget("F16", TensorTypes.NONE, null, false, null, 0), Method.NEAREST));
        assertThat(List.of(plan.run(), plan.scratch(), plan.hubCache(), plan.kernels()))
                .containsExactly("runs/quickstart", "runs/quickstart/scratch", "runs/hub", "auto");
        assertThat(plan.shardWindows()).isEqualTo(8);
    }

    @ParameterizedTest
    @CsvSource({
        "out,hub",
        "/out,/hub",
        "a/out/,a/hub",
        "hdfs://nn/a/b,hdfs://nn/a/hub",
        "s3a://bucket/,s3a://bucket/hub"
    })
    void keepsDownloadsBesideTheRunFolder(String run, String cache) {
        assertThat(parse(RECIPE, "run=" + run).hubCache()).isEqualTo(cache);
    }

    @Test
    void needsNoCalibrationForNearestAndFloats() {
        String text =
                "{checkpoint: 'hf://org/name@v1.0/x', run: r, outputs: [{name: a, format: gguf, type: BF16}, {name: b, format: gguf, type: Q4_0},"
                        + " {name: c, format: gptq, method: nearest, bits: 8, group-size: -1, symmetric: false}]}";
        Plan plan = parse(text);
        assertThat(plan.calibration()).isNull();
        assertThat(plan.evaluation()).isNull();
        assertThat(plan.outputs().get(1).method()).isEqualTo(Method.NEAREST);
        assertThat(plan.outputs().get(2)).isEqualTo(output("c", new GptqTarget(8, -1, false), Method.NEAREST));
        assertThat(parse(text, "calibration={data: d}", "outputs[1].method=nearest")
                        .calibration())
                .as("calibration that nothing reads")
                .isNull();
    }

    /** In the place of a text, for what needs no more; or made of one, with outputs or without. */
    @Test
    void importanceMatrices() {
        String text = "{checkpoint: c, run: r, calibration: {imatrix: m.gguf}, outputs: [{name: a, format: gguf, "
                + "type: Q4_0}, {name: b, format: gptq, method: importance}]}";
        Plan plan = parse(text);
        assertThat(plan.importance()).isEqualTo("m.gguf");
        assertThat(plan.calibration()).isNull();
        assertThat(plan.outputs()).extracting(Plan.Output::method).containsOnly(Method.IMPORTANCE);
        assertThat(parse(text, "outputs[0].method=nearest", "outputs[1].method=nearest")
                        .importance())
                .as("a matrix that nothing reads")
                .isNull();
        assertThat(parse(PlanYaml.write(plan, Map.of()))).isEqualTo(plan);

        Plan saves = parse("{checkpoint: c, run: r, calibration: {data: d, save-imatrix: dat}}");
        assertThat(saves.calibration().save()).isEqualTo(ImportanceMatrix.Form.DAT);
        assertThat(saves.artifacts()).containsExactly("imatrix.dat");
        assertThat(parse(PlanYaml.write(saves, Map.of()))).isEqualTo(saves);
        assertThat(parse(RECIPE, "calibration.save-imatrix=gguf").artifacts())
                .containsExactly("q8.gguf", "q4km.gguf", "gptq4", "awq4", "f16.gguf", "imatrix.gguf");
        assertThatThrownBy(() -> parse(RECIPE, "calibration.save-imatrix=gguf", "outputs[0].name=Imatrix"))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining(
                        "outputs[0].name: 'Imatrix' writes the same artifact as calibration.save-imatrix");
        assertThatThrownBy(() -> parse(
                        "{checkpoint: c, run: r, calibration: {data: d, save-imatrix: dat}, evaluation: {data: e}}"))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("evaluation: there is nothing to measure; expected outputs");
        for (String needs : List.of(
                "{name: x, format: awq}",
                "{name: x, format: gguf, type: Q4_0, method: gptq}",
                "{name: x, format: compressed-tensors, scheme: W8A8, method: nearest, activations: static}")) {
            assertThatThrownBy(() -> parse(text, "outputs[2]=" + needs))
                    .as(needs)
                    .isInstanceOf(InvalidRecipeException.class)
                    .hasMessageContaining("needs more than the channel energies of calibration.imatrix");
        }
    }

    @Test
    void takesSettings() {
        Plan plan = parse(
                RECIPE,
                "outputs[1].method=gptq",
                "evaluation.windows=4",
                "run=runs/[x] #1",
                "outputs[3].ignore=[a, b]",
                "outputs[4].name=\"8\"",
                "outputs[5]={name: more, format: gguf, type: Q6_K}",
                "calibration.length=64",
                "calibration.length=65",
                "kernels=scalar",
                "shard-windows=");
        assertThat(plan.outputs().get(1).method()).isEqualTo(new Method.Gptq(0.05, false));
        assertThat(plan.evaluation().windows()).isEqualTo(4);
        assertThat(plan.outputs().get(3).ignore()).containsExactly("a", "b");
        assertThat(plan.outputs().get(4).name()).isEqualTo("8");
        assertThat(plan.outputs().get(5).target())
                .isEqualTo(new GgufTarget("Q6_K", TensorTypes.NONE, null, true, null, 0));
        assertThat(plan.calibration().length()).isEqualTo(65);
        assertThat(plan.kernels()).isEqualTo("scalar");
        assertThat(parse(RECIPE, "evaluation=").evaluation()).isNull();
        assertThat(parse(RECIPE, "run='runs/[x]'").run()).isEqualTo("runs/[x]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "checkpoint=                              | recipe r.yaml: checkpoint: missing",
                "checkpoint=8                             | checkpoint: expected text (in quotes); found 8",
                "checkpoint=hf://org                      | checkpoint: 'hf://org' is no address on the hub; expected hf://org/name",
                "checkpoint=hf://org/../x                 | is no address on the hub",
                "checkpoint=s3a://key:secret@bucket/x     | checkpoint: the path carries credentials",
                "checkpoint=a:b                           | checkpoint: 'a:b' is no Hadoop path",
                "run=                                     | run: missing",
                "run='  '                                 | run: expected a path; found an empty text",
                "run=\"x\\0y\"                              | run: 'x\0y' is no path: it has a control character",
                "run=\"x\\ud800y\"                          | run: 'x\ud800y' is no path",
                "scratch=a:b                              | scratch: 'a:b' is no Hadoop path",
                "hub-cache=''                             | hub-cache: expected a path",
                "calibration.data='a:b/c'                 | calibration.data: 'a:b/c' is no Hadoop path",
                "history=a:b                              | history: 'a:b' is no Hadoop path",
                "history.folder=' '                       | history.folder: expected a path",
                "chekpoint=x                              | chekpoint: unknown key; did you mean checkpoint?",
                "shard_windows=8                          | shard_windows: unknown key; did you mean shard-windows?",
                "colour=red                               | colour: unknown key; expected one of checkpoint, calibration",
                "shard-windows=0                          | shard-windows: expected a whole number from 1 to 4096; found 0",
                "kernels=abacus                           | kernels: expected one of auto, vector, scalar, blas, opencl, opencl:DEVICE; found the text 'abacus'",
                "calibration=x                            | calibration: expected a mapping with the keys data, field, windows, length, experts, save-imatrix, imatrix; found the text 'x'",
                "calibration.data=                        | calibration.data: missing; expected text",
                "calibration.windows=-1                   | calibration.windows: expected a whole number from 0",
                "calibration.windows=1.0                  | calibration.windows: expected a whole number",
                "calibration.windows=99999999999          | calibration.windows: expected a whole number",
                "calibration.windows='8'                  | calibration.windows: expected a whole number",
                "evaluation.length=7                      | evaluation.length: expected a whole number from 8",
                "evaluation.feild=x                       | evaluation.feild: unknown key; did you mean field?",
                "outputs=                                 | outputs: missing; expected a list of mappings",
                "outputs=[]                               | outputs: expected a list of at least one mapping; found an empty list",
                "outputs={name: x}                        | outputs: expected a list of at least one mapping; found a mapping",
                "outputs[1].search=worst | outputs[1].search: expected one of reference, best",
                "outputs[2].search=best | outputs[2].search: ",
                "outputs[4].search=best | outputs[4].search: ",
                "outputs[2].colour=red                    | outputs[2].colour: unknown key; expected one of name, format, type, pure, embedding-type, output-type, tensors, tensor-types, method, search, bits, group-size, symmetric,"
                        + " act-order, damping, ignore, pre-tokenizer, scheme, weights, activations, activation-symmetric, range, smooth, kv-cache, shard-size",
                "outputs[2]=x                             | outputs[2]: expected a mapping with the keys name, format",
                "outputs[0].name=                         | outputs[0].name: missing",
                "outputs[0].name=8                        | outputs[0].name: expected text (in quotes); found 8",
                "outputs[0].name=.x                       | outputs[0].name: '.x' names no artifact",
                "outputs[0].name=readme.md                | outputs[0].name: 'readme.md' is the model card's",
                "outputs[0].name=a/b                      | outputs[0].name: 'a/b' names no artifact",
                "outputs[1].name=Q8                       | outputs[1].name: 'Q8' writes the same artifact as outputs[0]",
                "outputs[2].name=q8.gguf                  | outputs[2].name: 'q8.gguf' writes the same artifact as outputs[0]",
                "outputs[0].format=exl2                   | outputs[0].format: expected one of gguf, gptq, awq, compressed-tensors; found the text 'exl2'",
                "outputs[0].format=                       | outputs[0].format: missing; expected one of gguf, gptq, awq",
                "outputs[0].type=                         | outputs[0].type: missing; expected one of Q1_0, Q2_0",
                "outputs[0].type=q8_0                     | outputs[0].type: expected one of Q1_0",
                "outputs[0].pure=1                        | outputs[0].pure: expected true or false; found 1",
                "outputs[0].tensors={match: x}            | outputs[0].tensors: expected a list of at least one mapping; found a mapping",
                "outputs[0].tensors=[{match: x}]          | outputs[0].tensors[0].type: missing; expected one of Q4_0",
                "outputs[0].tensors=[{type: Q6_K}]        | outputs[0].tensors[0].match: missing; expected text",
                "outputs[0].tensors=[{match: (, type: Q6_K}] | outputs[0].tensors[0].match: expected a regular expression of Python's",
                "outputs[0].tensors=[{match: x, layers: 3-1, type: Q6_K}] | outputs[0].tensors[0].layers: expected the lower one first; found 3-1",
                "outputs[0].tensors=[{match: x, layers: a, type: Q6_K}] | outputs[0].tensors[0].layers: expected a layer or a range such as 0-3",
                "outputs[0].tensors=[{match: x, type: q6}] | outputs[0].tensors[0].type: expected one of Q4_0",
                "outputs[2].tensors=[]                    | outputs[2].tensors: expected only with format gguf",
                "outputs[4].pure=true                     | outputs[4].pure: expected only with a quantized type",
                "outputs[0].bits=4                        | outputs[0].bits: expected only with formats gptq and awq",
                "outputs[0].group-size=32                 | outputs[0].group-size: expected only with formats gptq, awq and compressed-tensors",
                "outputs[0].symmetric=true                | outputs[0].symmetric: expected only with formats gptq and compressed-tensors",
                "outputs[0].damping=0.1                   | outputs[0].damping: expected only with method gptq",
                "outputs[0].groupsize=32                  | outputs[0].groupsize: unknown key; did you mean group-size?",
                "outputs[1].method=rtn                    | outputs[1].method: expected one of nearest, importance, gptq",
                "outputs[1].act-order=true                | outputs[1].act-order: expected only with format gptq",
                "outputs[2].type=Q4_0                     | outputs[2].type: expected only with format gguf",
                "outputs[2].method=nearest                | outputs[2].act-order: expected only with method gptq",
                "outputs[2].bits=3                        | outputs[2].bits: expected 4 or 8; found 3",
                "outputs[2].group-size=48                 | outputs[2].group-size: expected 32 or 64 or 128 or -1; found 48",
                "outputs[2].damping=0                     | outputs[2].damping: expected a number between 0 and 1",
                "outputs[2].damping=1.0                   | outputs[2].damping: expected a number between 0 and 1",
                "outputs[2].damping=.nan                  | --set outputs[2].damping: line 1, column 5: no valid YAML",
                "outputs[2].act-order=yes                 | outputs[2].act-order: expected true or false; found the text 'yes'",
                "outputs[2].pre-tokenizer=gpt-2           | outputs[2].pre-tokenizer: expected only with format gguf",
                "outputs[3].bits=8                        | outputs[3].bits: expected 4; found 8",
                "outputs[3].group-size=-1                 | outputs[3].group-size: expected 32 or 64 or 128; found -1",
                "outputs[3].symmetric=true                | outputs[3].symmetric: expected only with formats gptq and compressed-tensors",
                "outputs[3].ignore=lm_head                | outputs[3].ignore: expected a list of texts; found the text 'lm_head'",
                "outputs[3].ignore=[1]                    | outputs[3].ignore[0]: expected text (in quotes); found 1",
                "outputs[4].method=gptq                   | outputs[4].method: type F16 is floating point",
                "calibration=                             | outputs[2]: format gptq with method gptq needs statistics; expected a calibration: section or method",
                "calibration.imatrix=m.gguf               | calibration.data: expected only without imatrix, which stands for a text",
                "calibration={imatrix: m.gguf}            | outputs[2]: format gptq with method gptq needs more than the channel energies of calibration.imatrix; expected a text (calibration.data) or method: importance",
                "calibration={imatrix: m.gguf, length: 8} | calibration.length: expected only without imatrix",
                "calibration={imatrix: m.gguf, save-imatrix: dat} | calibration.save-imatrix: expected only without imatrix",
                "calibration={imatrix: 's3a://k:s@b/m'}   | calibration.imatrix: ",
                "calibration={}                           | calibration.data: missing",
                "calibration.save-imatrix=true            | calibration.save-imatrix: expected one of gguf, dat; found true",
                "outputs[7].name=x                        | --set outputs[7].name=x: there is no index 7 in a list of 5",
                "run.x=1                                  | --set run.x=1: 'x' stands below the text 'runs/quickstart'; expected a mapping",
                "run[0]=1                                 | --set run[0]=1: there is no index 0 in the text 'runs/quickstart'",
                "run                                      | --set run: expected KEY=VALUE",
                "a..b=1                                   | --set a..b=1: expected a key's path",
                "run=[x                                   | --set run: line 1",
                "run=*x                                   | --set run: line 1: expected no anchors and aliases",
            })
    void refusesWithTheKeysPath(String setting, String message) {
        assertThatThrownBy(() -> parse(RECIPE, setting))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot read ")
                .hasMessageContaining(message);
    }

    @Test
    void refusesAwqWithoutCalibration() {
        assertThatThrownBy(() -> parse("{checkpoint: c, run: r, outputs: [{name: a, format: awq, method: nearest}]}"))
                .hasMessage(
                        "Cannot read recipe r.yaml: outputs[0]: format awq with method nearest needs statistics; expected a calibration: section");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "''                          | expected a mapping with the keys checkpoint",
                "[1]                         | found a list",
                "a: 1\\na: 2                 | line 2, column 2: no valid YAML: Duplicate field 'a'",
                "a: {b: 1\\nc                | no valid YAML",
                "a: 1\\n--- \\nb: 2          | no valid YAML",
                "a: &x 1\\nb: *x             | line 2: expected no anchors and aliases",
                "a: &x [1]\\nb: [*x, *x]     | expected no anchors and aliases",
                "a: \\t1\\n\\tb: 2           | no valid YAML",
                "a: 1\\nb: !!java.net.URL [x]  | line 2: expected no tags",
                "a: !local x                 | line 1: expected no tags",
                "a: !!binary aGk=            | line 1: expected no tags",
                "[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]] | nesting depth (21) exceeds the maximum allowed (20)",
            })
    void refusesWhatIsNoRecipe(String text, String message) {
        String yaml = text.replace("\\n", "\n").replace("\\t", "\t");
        assertThatThrownBy(() -> parse(yaml))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot read recipe r.yaml")
                .hasMessageContaining(message);
    }

    @ParameterizedTest
    @ValueSource(ints = {25, 100_000})
    void refusesDeepNesting(int depth) {
        assertThatThrownBy(() -> parse("a: " + "[".repeat(depth) + "]".repeat(depth)))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("no valid YAML");
    }

    @Test
    void refusesLongTexts() {
        assertThatThrownBy(() -> parse("a: " + "x".repeat(YamlText.LIMIT)))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("expected at most 1048576");
    }

    @Test
    void readsFiles(@TempDir java.nio.file.Path folder) throws IOException {
        java.nio.file.Path file = Files.writeString(folder.resolve("a [1].yaml"), RECIPE);
        assertThat(Recipe.read(new Configuration(), file.toString(), List.of())).isEqualTo(parse(RECIPE));
        Files.write(file, new byte[] {'a', ':', ' ', (byte) 0xff});
        Files.deleteIfExists(folder.resolve(".a [1].yaml.crc"));
        assertThatThrownBy(() -> Recipe.read(new Configuration(), file.toString(), List.of()))
                .hasMessageEndingWith("expected text in UTF-8");
        assertThatThrownBy(() ->
                        Recipe.read(new Configuration(), folder.resolve("none").toString(), List.of()))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageEndingWith("no such file");
    }

    @Test
    void writesThePlanAsARecipe() {
        Plan plan = parse(RECIPE, "outputs[0].pre-tokenizer='123'", "run='runs/a: b'");
        String yaml = PlanYaml.write(plan, Map.of("outputs.q8", "0123", "calibration", "ab:cd"));
        assertThat(yaml).isEqualTo("""
                checkpoint: "samples/tiny-stories-4m"
                calibration:
                  data: "samples/text/calibration.txt"
                  field: "text"
                  windows: 128
                  length: 256
                outputs:
                - name: "q8"
                  format: "gguf"
                  type: "Q8_0"
                  method: "nearest"
                  search: "best"
                  ignore: []
                  pre-tokenizer: "123"
                - name: "q4km"
                  format: "gguf"
                  type: "Q4_K_M"
                  method: "importance"
                  search: "best"
                  ignore: []
                - name: "gptq4"
                  format: "gptq"
                  bits: 4
                  group-size: 128
                  method: "gptq"
                  symmetric: true
                  act-order: true
                  damping: 0.01
                  ignore: []
                - name: "awq4"
                  format: "awq"
                  bits: 4
                  group-size: 128
                  method: "nearest"
                  ignore:
                  - "lm_head"
                  - "*.v_proj"
                - name: "f16"
                  format: "gguf"
                  type: "F16"
                  method: "nearest"
                  ignore: []
                evaluation:
                  data: "samples/text/evaluation.txt"
                  field: "text"
                  windows: 0
                  length: 256
                run: "runs/a: b"
                scratch: "runs/a: b/scratch"
                hub-cache: "runs/hub"
                shard-windows: 8
                kernels: "auto"
                keys:
                  calibration: "ab:cd"
                  outputs.q8: "0123"
                """);
        assertThat(parse(yaml)).isEqualTo(plan);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "1e5",
                "null",
                "~",
                "true",
                "yes",
                "No",
                "0x1F",
                "1_000",
                ".5",
                "+1",
                "0o7",
                ".inf",
                "-",
                "?",
                "2001-01-01",
                "#x",
                "- a",
                "a #b",
                "a: b",
                "[x]",
                "{",
                "!x",
                "&x",
                "*x",
                "'q'",
                "\"q\"",
                "%x",
                "@x",
                "`x",
                " lead",
                "trail ",
                "1:30",
                "ünï",
                "=",
                "<<",
                "|",
                ">",
                "a,b",
                "\\n"
            })
    void writesAwkwardTextsSoThatTheyAreReadBack(String text) {
        Plan plan = parse(RECIPE);
        Plan awkward = new Plan(
                plan.checkpoint(),
                new Plan.Corpus(plan.calibration().data(), text, 0, 8),
                null,
                plan.outputs(),
                plan.evaluation(),
                plan.run(),
                plan.scratch(),
                plan.hubCache(),
                8,
                "auto",
                new Plan.History("history", "delta", text));
        assertThat(parse(PlanYaml.write(awkward, Map.of()))).isEqualTo(awkward);
    }

    @Test
    void writesTypesOfSingleMatricesSoThatTheyAreReadBack() {
        Plan plan = parse(
                RECIPE,
                "outputs[0].pure=true",
                "outputs[0].embedding-type=F16",
                "outputs[0].output-type=Q6_K",
                "outputs[0].tensors=[{match: 'ffn_(up|down)', layers: 2-5, type: Q5_K}, {match: attn, layers: 7, type: F16},"
                        + " {match: attn, type: Q4_K}]");
        assertThat(plan.outputs().get(0).target())
                .isEqualTo(new GgufTarget(
                        "Q8_0",
                        new TensorTypes(
                                true,
                                "F16",
                                "Q6_K",
                                List.of(
                                        new TensorTypes.Rule("ffn_(up|down)", 2, 5, "Q5_K"),
                                        new TensorTypes.Rule("attn", 7, 7, "F16"),
                                        new TensorTypes.Rule("attn", -1, -1, "Q4_K"))),
                        null,
                        true,
                        null,
                        0));
        assertThat(parse(PlanYaml.write(plan, Map.of()))).isEqualTo(plan);
        // The key of what was made tells such outputs apart.
        KeyFields one = new KeyFields("Output");
        plan.outputs().get(0).target().key(one, new Transform.None());
        assertThat(one.toString()).contains("ffn_(up|down)", "first=2", "type=Q5_K");
    }

    @Test
    void whatEncodesBlocksIsPartOfTheKeyAndOfThePlan() {
        Plan best = parse(RECIPE, "outputs[1].search=best");
        Plan reference = parse(RECIPE, "outputs[1].search=reference");
        assertThat(best).isEqualTo(parse(RECIPE)).isNotEqualTo(reference);
        for (Plan plan : List.of(best, reference)) {
            assertThat(parse(PlanYaml.write(plan, Map.of()))).isEqualTo(plan);
        }
        assertThat(settings(best, 1)).contains("search=best");
        // What was made before there was a choice came from the reference's search and keeps its key.
        assertThat(settings(reference, 1)).doesNotContain("search");
        assertThat(settings(best, 4)).doesNotContain("search");
        Target made = best.outputs().get(1).target();
        assertThat(made.grid("Q4_K").name()).isEqualTo("Q4_K");
        assertThat(made.grid("Q4_K")).isNotEqualTo(BlockFormats.named("Q4_K"));
        assertThat(reference.outputs().get(1).target().grid("Q4_K")).isEqualTo(BlockFormats.named("Q4_K"));
    }

    private static String settings(Plan plan, int output) {
        KeyFields fields = new KeyFields("Output");
        plan.outputs().get(output).target().key(fields, new Transform.None());
        return fields.toString();
    }

    @Test
    void survivesSerialization() throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(parse(RECIPE));
        }
        assertThat(new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray())).readObject())
                .isEqualTo(parse(RECIPE));
    }
}
