// Large answers go gzipped to whoever takes that; the work is done off the event loop.
// Source: apiserver pkg/endpoints/handlers/responsewriters/writers.go.
import { constants, gzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';

/** Larger answers are worth it. Source: defaultGzipThresholdBytes. */
const THRESHOLD_BYTES = 128 * 1024;
/** Source: defaultGzipContentEncodingLevel. */
const LEVEL = constants.Z_BEST_SPEED;

/** As upstream, weights are not looked at: `gzip;q=0` is none that it knows. */
const takesGzip = (header: string | string[] | undefined): boolean => String(header ?? '').split(',').some((token) => token.trim() === 'gzip');

/** Watches and streams write by themselves and never come this way. */
export function compressAnswers(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    if (!Buffer.isBuffer(payload) || payload.length <= THRESHOLD_BYTES || request.method === 'HEAD' || reply.hasHeader('content-encoding') || !takesGzip(request.headers['accept-encoding'])) return done(null, payload);
    gzip(payload, { level: LEVEL }, (error, compressed) => {
      if (error) return done(error);
      void reply.header('content-encoding', 'gzip').header('vary', 'Accept-Encoding').removeHeader('content-length');
      done(null, compressed);
    });
  });
}
