// A worker that finds the counters of a proof of work: portal/shopper/proof.py says what they are.

const bytes = (text) => new TextEncoder().encode(text);

async function first32(counter, salt, rounds) {
  const key = await crypto.subtle.importKey("raw", bytes(counter), "PBKDF2", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds }, key, 32);
  return new DataView(bits).getUint32(0);
}

self.onmessage = async ({ data: { nonce, parts, rounds, threshold } }) => {
  const salt = bytes(nonce);
  const found = [];
  for (let part = 0; part < parts; part += 1) {
    let counter = 0;
    while (await first32(`${part}:${counter}`, salt, rounds) >= threshold) counter += 1;
    found.push(counter);
  }
  self.postMessage(found.join("."));
};
