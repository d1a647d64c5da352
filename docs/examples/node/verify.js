// SPDX-License-Identifier: GPL-3.0-or-later
// Verifies Ed25519 signatures through a running service: one batch, and the same one by one over a stream.
//
//   npm install --prefix FOLDER          once; FOLDER is that of this file
//   node FOLDER/verify.js ADDRESS [PROTO]
//
// Both run from any folder. ADDRESS is host:port of `supervm serve`; PROTO is the path of verification.proto, by default that
// of this repository. SUPERVM_TOKEN is sent as a bearer token, where the service asks for one.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

function giveUp(message) {
  console.error(message);
  process.exit(2);
}

// Without its packages, say how to get them: import() can be answered, import cannot.
async function installed(name) {
  try {
    return (await import(name)).default;
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    return giveUp(`${name} is not installed: npm install --prefix ${fileURLToPath(new URL(".", import.meta.url))}`);
  }
}

const [address, path] = process.argv.slice(2);
if (!address) giveUp("usage: node verify.js ADDRESS [PROTO]");
const grpc = await installed("@grpc/grpc-js");
const loader = await installed("@grpc/proto-loader");

const published = "../../../tiers/service/proto/supervm/v1/verification.proto";
const proto = path ?? fileURLToPath(new URL(published, import.meta.url));
if (!existsSync(proto)) {
  giveUp(`${proto}: no such file; outside the repository, name verification.proto: node verify.js ADDRESS PROTO`);
}
const definition = loader.loadSync(proto, { keepCase: true, longs: Number, enums: String });
const { Verification } = grpc.loadPackageDefinition(definition).supervm.v1;
const client = new Verification(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
if (process.env.SUPERVM_TOKEN) metadata.set("authorization", `Bearer ${process.env.SUPERVM_TOKEN}`);

// RFC 8032, section 7.1, tests 1 and 2; then test 2 over another message, and under a key that is no point.
const hex = (text) => Buffer.from(text, "hex");
const first = {
  key: hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
  message: hex(""),
  signature: hex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
      "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ),
};
const second = {
  key: hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
  message: hex("72"),
  signature: hex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ),
};
const key = hex("02" + "00".repeat(31));
const items = [first, second, { ...second, message: hex("73") }, { ...second, key }];

// Verdicts are signed bytes: 1 valid, 0 invalid, -1 malformed.
const verdicts = (reply) => Array.from(new Int8Array(reply.verdicts));

function batch() {
  const offsets = Buffer.alloc(8 * (items.length + 1));
  let end = 0n;
  items.forEach((item, i) => {
    end += BigInt(item.message.length);
    offsets.writeBigUInt64LE(end, 8 * (i + 1));
  });
  const request = {
    scheme: "SCHEME_ED25519",
    public_keys: Buffer.concat(items.map((item) => item.key)),
    signatures: Buffer.concat(items.map((item) => item.signature)),
    messages: { data: Buffer.concat(items.map((item) => item.message)), offsets },
  };
  const deadline = new Date(Date.now() + 60_000);
  return new Promise((resolve, reject) => {
    client.Verify(request, metadata, { deadline }, (error, reply) => (error ? reject(error) : resolve(verdicts(reply))));
  });
}

// Replies may come in another order: each carries the id of its request.
function stream() {
  return new Promise((resolve, reject) => {
    const found = new Array(items.length);
    const call = client.VerifyStream(metadata, { deadline: new Date(Date.now() + 60_000) });
    call.on("data", ({ replies }) => {
      for (const reply of replies) {
        if (reply.refusal) reject(new Error(reply.refusal.message));
        else found[reply.id - 1] = verdicts(reply)[0];
      }
    });
    call.on("error", reject);
    call.on("end", () => resolve(found));
    items.forEach((item, i) => {
      const { key: public_keys, message, signature: signatures } = item;
      call.write({ id: i + 1, scheme: "SCHEME_ED25519", public_keys, signatures, message });
    });
    call.end();
  });
}

try {
  console.log(JSON.stringify({ batch: await batch(), stream: await stream() }));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  client.close();
}
