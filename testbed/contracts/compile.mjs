// Compiles the sources of a folder: node compile.mjs SOURCES PACKAGES OUTPUT
// Safe's contracts are added as their package has them compiled.
// OUTPUT becomes { "Name": { "creation": "…", "runtime": "…", "selectors": { "f(uint256)": "…" } } }, all in hex.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const SAFE = [
  ["contracts/Safe.sol", "Safe"],
  ["contracts/proxies/SafeProxyFactory.sol", "SafeProxyFactory"],
  ["contracts/proxies/SafeProxy.sol", "SafeProxy"],
  ["contracts/handler/CompatibilityFallbackHandler.sol", "CompatibilityFallbackHandler"],
  ["contracts/libraries/SignMessageLib.sol", "SignMessageLib"],
];

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
const add = (contract, { evm }) => {
  contracts[contract] = {
    creation: evm.bytecode.object,
    runtime: evm.deployedBytecode.object,
    selectors: evm.methodIdentifiers,
  };
};
for (const name of names) {
  Object.entries(compiled.contracts[name] ?? {}).forEach(([contract, output]) => add(contract, output));
}
const builds = join(modules, "@safe-global/safe-smart-account/build/artifacts/build-info");
for (const build of readdirSync(builds)) {
  const { output } = JSON.parse(readFileSync(join(builds, build), "utf8"));
  for (const [path, contract] of SAFE) {
    add(contract, output.contracts[path][contract]);
  }
}
writeFileSync(output, JSON.stringify(contracts));
