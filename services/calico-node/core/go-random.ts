// The first draws of Go's math/rand for a given seed, and FNV-1: by these Calico chooses where a node starts to look
// for a free block. The generator is an additive lagged Fibonacci one (lags 607 and 273, modulo 2^64) whose state is a
// fixed table mixed with the seed. One start index takes about four draws, so only the ends of the table that the
// first draws read are kept.

/** Table entries 606, 605, ... */
const TAP_ENTRIES: readonly bigint[] = [
  0x39a00a3a31c025c6n, 0x7e57a19b735ef03bn, 0x74535a96cc7adfd7n, 0xe1de048dc78b382en, 0xa8de655829aab207n, 0xfbba1e4a59b0c60cn,
  0xe5b5e9385b202824n, 0xf579e080162896e9n, 0x51d3a3c351be10ecn, 0xa7f503a28f431ca9n, 0xc45166d9f6935ff8n, 0xc977d592999f2194n,
  0x9516361749f6428an, 0x287fea4c9695f3f4n, 0x395c6750aa42e65en, 0x980aab2fff6bc784n, 0x64fcbfa01dca3978n, 0x640a711eb0e49b41n,
  0xa848cc5d9cb0e150n, 0xfc997227a4f07f8fn, 0xaaf677bd80e30ac5n, 0x8358c5bb1248ac23n, 0x58143117e4e16555n, 0x2c43fd0a9eaec04dn,
  0x4bd671b124b5701an, 0x689a66ba46d1c3bdn, 0x1266fbf77386b1dbn, 0xcc7c533a7fca95d8n, 0x7c91d10a8d75740en, 0x59e4a152525b1b29n,
  0x324fca6af2b5c1d1n, 0x1f9eabdfdbe2b7bdn, 0x92d7bb47a4afe838n, 0xee37e3669f7e9c66n, 0x637e086dc78cf522n, 0x22673e39d43ff99bn,
  0x628dfe635c795586n, 0x4947dddd6f3e9e07n, 0x77c265a71aebbe54n, 0xeb8d82b15491d607n, 0x5572e7ce34288668n, 0x666eb88d8701e16fn,
  0x9a77d2f2ef3bd843n, 0x79753148c0e6c59fn, 0x1d17558f6164030cn, 0x077e19b9a3f76000n, 0x400e2ba01968e7c4n, 0x5962428553d20814n,
];
/** Table entries 333, 332, ... */
const FEED_ENTRIES: readonly bigint[] = [
  0xbfb2f4d968b759c3n, 0x3b7fc3ad0d1cd36bn, 0xf11bfbb3ba3e0841n, 0x031089e87fbab9a7n, 0x967e3cd0f12b1c5fn, 0xbd640b6140802b1en,
  0x32a31118a95e425fn, 0x08137c3380f32523n, 0x9024ebcbf8b8e6afn, 0xa4e5a10d28659104n, 0xd7e75a07542451dan, 0xc9a9cd708372db93n,
  0x331786d5a126f97fn, 0x2536b7a7602f6b4dn, 0xc444cf11f9840608n, 0x8b821c0b10054c75n, 0x7e61315458970ccbn, 0x0e7f5452a8c91ee0n,
  0x3fddae4163e010e4n, 0xcaeaccb927b0cb5cn, 0xd36a1f70d4f9a2ffn, 0x43385b68e51dbffcn, 0x5ee41cb40ca81e2cn, 0x048311a7625eabd9n,
  0x3c7c1de5b3cc1dcan, 0xd3431110cdd7a998n, 0x4f37aef6caf41c5dn, 0x9cbbb4be9a92c216n, 0x552d69f0428dce6an, 0xf72709f96b28a3c7n,
  0xd556d17adcc5f6fbn, 0x79edb9a2a6a387dfn, 0xc73eddfe111385e2n, 0x1c910136c9fdf9c3n, 0x2aea572af8467560n, 0x59d6a8cc7a082707n,
  0x8c0621f768220a97n, 0x036d8003387dd6dbn, 0x01fe31d8c7df7dc4n, 0xeac40d3f519d2893n, 0x3faf8d9c775ca781n, 0x639ba81c88d888a6n,
  0x8f89c0d3396a3b53n, 0x8495a07683903295n, 0x3d78cc365badbce1n, 0x175ee40f58fbd971n, 0x080ec57577219247n, 0x43e0d0254b84715en,
];
const STATE_LENGTH = 607;
const FEED_START = 333;
const MODULUS = 2147483647;

/** One step of the multiplicative generator (48271 modulo 2^31-1) that spreads the seed. Exact in doubles. */
const next = (x: number): number => (x * 48271) % MODULUS;

/**
 * The first 32-bit values of the sequence of `seed`, as `Uint32` of Go's math/rand returns them.
 * At most 48: the tables end there.
 */
export function firstDraws(seed: number): number[] {
  let x = seed % MODULUS;
  if (x < 0) x += MODULUS;
  if (x === 0) x = 89482311;
  const mixed: bigint[] = [];
  for (let index = -20; index < STATE_LENGTH; index += 1) {
    x = next(x);
    if (index < 0) continue;
    const first = x;
    const second = next(first);
    x = next(second);
    mixed.push((BigInt(first) << 40n) ^ (BigInt(second) << 20n) ^ BigInt(x));
  }
  return TAP_ENTRIES.map((tap, draw) => {
    const tapValue = tap ^ (mixed[STATE_LENGTH - 1 - draw] ?? 0n);
    const feedValue = (FEED_ENTRIES[draw] ?? 0n) ^ (mixed[FEED_START - draw] ?? 0n);
    return Number((BigInt.asUintN(63, tapValue + feedValue)) >> 31n);
  });
}

/** FNV-1 (not 1a) of 32 bits over the UTF-8 bytes. */
export function fnv1(text: string): number {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(text)) hash = (Math.imul(hash, 16777619) ^ byte) >>> 0;
  return hash;
}
