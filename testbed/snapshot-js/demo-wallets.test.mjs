// The demo wallets of examples/README.md, derived again by the library that voters' clients sign with.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Wallet } from "@ethersproject/wallet";

const readme = readFileSync(join(process.env.PNYX_ROOT, "examples/README.md"), "utf8");
const listed = [...readme.matchAll(/^\| (\d+) \| `(0x[0-9a-fA-F]{40})` \|$/gm)];

test("sixteen wallets are listed", () => {
  assert.equal(listed.length, 16);
});

for (const [, number, address] of listed) {
  test(`wallet ${number}`, () => {
    const key = createHash("sha256").update(`pnyx demo wallet ${number}`).digest("hex");
    assert.equal(new Wallet(`0x${key}`).address, address);
  });
}
