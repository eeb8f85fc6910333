// Durations, times and sizes as etcd's log has them.

/** As Go's time.Duration: 1.5s, 12.345ms, 1m0.5s. */
export function goDuration(durationMs: number): string {
  const nanos = Math.round(durationMs * 1e6);
  if (nanos === 0) return '0s';
  const size = Math.abs(nanos);
  const sign = nanos < 0 ? '-' : '';
  if (size < 1e3) return `${sign}${size}ns`;
  if (size < 1e6) return `${sign}${size / 1e3}µs`;
  if (size < 1e9) return `${sign}${size / 1e6}ms`;
  const hours = Math.floor(size / 3.6e12);
  const minutes = Math.floor(size / 6e10) % 60;
  const seconds = `${(size % 6e10) / 1e9}s`;
  return `${sign}${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}`;
}

/** As logutil has times: 2006-01-02T15:04:05.000000Z. */
export function goTime(timeMs: number): string {
  const micros = Math.floor((timeMs % 1) * 1000);
  return `${new Date(Math.floor(timeMs)).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** Source: github.com/dustin/go-humanize (Bytes): 25 kB, 2.1 GB. */
export function humanBytes(size: number): string {
  if (size < 10) return `${size} B`;
  const exponent = Math.floor(Math.log(size) / Math.log(1000));
  const value = Math.floor((size / 1000 ** exponent) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[exponent] ?? ''}`;
}
