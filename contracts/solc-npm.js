#!/usr/bin/env node
// The npm package `solc` (the compiler as WebAssembly) behind the command line that py-solc-x and forge expect.
//
// The package's own `solcjs` cannot be piped: it truncates its output, fails on a non-blocking standard input and prints
// progress lines between the JSON. This wrapper reads and writes whole documents. It knows `--version` and
// `--standard-json`, and ignores options that concern the file system, as sources come inside the JSON. With
// `--json-lines` it goes on: each line is a document, and so is each answer.
"use strict";

const readline = require("readline");

const solc = require("solc");

async function readStandardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

async function answerLines() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${solc.compile(line)}\n`);
  }
}

async function main(options) {
  if (options.includes("--version")) {
    process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
  } else if (options.includes("--standard-json")) {
    process.stdout.write(solc.compile(await readStandardInput()));
  } else if (options.includes("--json-lines")) {
    await answerLines();
  } else {
    process.stderr.write("solc-npm.js: only --version, --standard-json and --json-lines are supported\n");
    process.exitCode = 1;
  }
}

main(process.argv.slice(2));
