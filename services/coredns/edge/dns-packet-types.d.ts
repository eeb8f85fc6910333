// The table of record types inside dns-packet, which its own types do not mention.
declare module 'dns-packet/types.js' {
  const types: { toType(name: string): number; toString(type: number): string };
  export default types;
}
