// What the drivers have in common: commands come line by line on standard input, answers leave on standard output.
//
// {"do": VERB, ...} is answered with {"done": ..., "tokens": ..., "wire": ...} or {"failed": ...}. In between,
// {"open": URL} asks for a visit by the user's browser; {"landed": URL} says where the visit ended.

import readline from 'node:readline';

export const CALLBACK = 'http://127.0.0.1:4000/callback';

const lines = readline.createInterface({input: process.stdin})[Symbol.asyncIterator]();
let wire = [];

/** `fetch`, writing down what went over the wire. */
export async function heard(input, init) {
  const response = await fetch(input, init);
  wire.push([init?.method ?? 'GET', new URL(input).pathname, response.status]);
  return response;
}

/** Send the user to an address of the broker; resolves to the one where the browser arrived. */
export async function visit(url) {
  say({open: String(url)});
  return new URL((await heardLine()).landed);
}

/** Obey until standard input ends. `tokens` tells what the client holds. */
export async function obey(verbs, tokens) {
  for (;;) {
    const {do: verb, ...rest} = await heardLine();
    try {
      const done = await verbs[verb](rest);
      say({done: done ?? null, tokens: tokens() ?? null, wire});
    } catch (error) {
      say({failed: String(error?.stack ?? error), cause: String(error?.cause ?? ''), wire});
    }
    wire = [];
  }
}

async function heardLine() {
  const {value, done} = await lines.next();
  if (done) process.exit(0);
  return JSON.parse(value);
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
