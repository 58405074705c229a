// node rnnoise_2018.mjs DIST < float32 frames of 480 samples, int16 scale > the same, denoised
import fs from "node:fs";

const dist = process.argv[2];
const FRAME = 480;
// The module is written for bundlers and takes itself for a browser's; here it is evaluated as a function.
const text = fs
  .readFileSync(`${dist}/rnnoise.js`, "utf8")
  .replace(/export default createRNNWasmModule;\s*$/, "")
  .replaceAll("import.meta.url", '""');
const create = new Function(`${text}; return createRNNWasmModule;`)();
const module = await create({ wasmBinary: fs.readFileSync(`${dist}/rnnoise.wasm`) });

const bytes = fs.readFileSync(0);
const samples = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const state = module._rnnoise_create(0);
const place = module._malloc(4 * FRAME);
for (let start = 0; start < samples.length; start += FRAME) {
  module.HEAPF32.set(samples.subarray(start, start + FRAME), place / 4);
  module._rnnoise_process_frame(state, place, place);
  samples.set(module.HEAPF32.subarray(place / 4, place / 4 + FRAME), start);
}
fs.writeSync(1, Buffer.from(samples.buffer));
