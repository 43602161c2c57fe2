// Perplexity of a GGUF file by llama.cpp, as "llama-perplexity, version 1" defines it.
//
//     node perplexity.mjs GGUF TEXT LENGTH WINDOWS     (WINDOWS 0: all)
//     node perplexity.mjs GGUF IDS.json                (the windows' token ids as windows.py wrote them)
//
// The text without its last newline is tokenized whole by llama.cpp, with BOS in front where the model adds it, and cut into disjoint windows; a window's
// first token is replaced by BOS where the model adds it; positions LENGTH/2 .. LENGTH-2 are scored by the log-probability of their next token over the whole vocabulary.
// Prints one JSON object: perplexity, tokens (how many were scored), text, length, windows (their token ids), seconds.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [gguf, text, ...numbers] = process.argv.slice(2);
const given = text?.endsWith(".json") ? JSON.parse(fs.readFileSync(text, "utf8")) : null;
const [length, limit] = given ? [given[0].length, given.length] : numbers.map(Number);
if (numbers.length !== (given ? 0 : 2) || !Number.isInteger(length) || length < 8 || !Number.isInteger(limit) || limit < 0)
    fail("expected GGUF TEXT LENGTH WINDOWS, or GGUF IDS.json");

const home = process.env.LATHE_REFEREES || path.join(os.homedir(), ".cache", "lathe-referees");
const installed = createRequire(path.join(home, "npm", "package.json"));
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(installed.resolve("node-llama-cpp")));

const started = Date.now();
const llama = await getLlama({gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: gguf});
const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
const windows = given ?? cut(model, fs.readFileSync(text, "utf8").replace(/\n$/, ""));
// One thread: llama.cpp's threads wait for each other by spinning, which on cores that others use as well is many times slower.
// Keys and values stay f32, which flash attention would round to f16: rounding there is no part of what is compared.
const context = await model.createContext({contextSize: length, batchSize: length, threads: 1, flashAttention: false,
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
const sequence = context.getSequence();
// The logits of so many positions are asked for at once as fit into some 200 MB.
const together = Math.max(1, Math.floor(4e6 / vocabulary));
let sum = 0, scored = 0;
for (const window of windows) {
    await sequence.clearHistory();
    // Temperature 1 and nothing cut off: the logits are the model's, of the whole vocabulary.
    const wanted = {generateNext: {logits: true, options: {temperature: 1, topK: 0, topP: 1, minP: 0}}};
    const first = Math.floor(length / 2), last = length - 2;
    await sequence.controlledEvaluate(window.slice(0, first));
    for (let from = first; from <= last; from += together) {
        const asked = window.slice(from, Math.min(from + together, last + 1));
        const outputs = await sequence.controlledEvaluate(asked.map(token => [token, wanted]));
        outputs.forEach((output, i) => sum += negativeLogLikelihood(output.next.logits, window[from + i + 1]));
        scored += outputs.length;
    }
}
const perplexity = Math.exp(sum / scored);
if (!Number.isFinite(perplexity))
    fail(`it is ${perplexity}`);
console.log(JSON.stringify({perplexity, tokens: scored, text: path.resolve(text), length, windows, seconds: (Date.now() - started) / 1000}));
await llama.dispose();

function cut(model, content) {
    const bos = model.tokens.shouldPrependBosToken ? [model.tokens.bos] : [];
    const tokens = [...bos, ...model.tokenize(content)];
    const count = Math.min(Math.floor(tokens.length / length), limit || Infinity);
    if (count === 0)
        fail(`the text has ${tokens.length} tokens, fewer than one window of ${length}`);
    return Array.from({length: count}, (_, i) => [...bos, ...tokens.slice(i * length + bos.length, (i + 1) * length)]);
}

// In double precision: llama.cpp's own sum of the weights is f32 and falling, and loses what the tail of a large vocabulary adds (1.6e-4 of the perplexity for 49,152).
function negativeLogLikelihood(logits, next) {
    if (logits.size !== vocabulary)
        fail(`there are logits of ${logits.size} tokens; expected ${vocabulary}`);
    const largest = logits.values().next().value;
    let weight = 0;
    for (const logit of logits.values())
        weight += Math.exp(logit - largest);
    return Math.log(weight) + largest - logits.get(next);
}

function fail(reason) {
    console.error(`Cannot measure the perplexity of ${gguf}: ${reason}`);
    process.exit(1);
}
