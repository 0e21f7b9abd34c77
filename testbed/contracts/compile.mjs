// Compiles the sources of a folder: node compile.mjs SOURCES PACKAGES OUTPUT
// OUTPUT becomes { "Name": { "creation": "…", "runtime": "…", "selectors": { "f(uint256)": "…" } } }, all in hex.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [sourceFolder, packages, output] = process.argv.slice(2);
const modules = join(resolve(packages), "node_modules");
const solc = createRequire(join(modules, "/"))("solc");

const names = readdirSync(sourceFolder).filter((name) => name.endsWith(".sol")).sort();
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(sourceFolder, name), "utf8") }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object", "evm.methodIdentifiers"] } },
  },
};
const findImport = (path) => ({ contents: readFileSync(join(modules, path), "utf8") });
const compiled = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));

const errors = (compiled.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const contracts = {};
for (const name of names) {
  for (const [contract, { evm }] of Object.entries(compiled.contracts[name] ?? {})) {
    contracts[contract] = {
      creation: evm.bytecode.object,
      runtime: evm.deployedBytecode.object,
      selectors: evm.methodIdentifiers,
    };
  }
}
writeFileSync(output, JSON.stringify(contracts));
