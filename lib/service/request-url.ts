// The URL that a request asks for.

/**
 * Of `request.url`, with `.` and `..` resolved. Whether a client may do something has to be asked for this path, as it is
 * the one that is answered: `/apis/../metrics` is /metrics.
 */
export function requestUrl(target: string | undefined): URL {
  return new URL(`https://localhost${target?.startsWith('/') ? target : '/'}`);
}
