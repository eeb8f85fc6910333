// undici's connection pool without the rest of undici (fetch, WebSocket, mocks, caches), which would cost each of the
// cluster's processes about 5 MB and none of them uses.
import type { Dispatcher, Pool } from 'undici';
import request from 'undici/lib/api/api-request.js';
import PoolClass from 'undici/lib/dispatcher/pool.js';

export type HttpPool = Pool;

export const newHttpPool = (origin: string, options: Pool.Options): HttpPool => new PoolClass(origin, options);

/** As `pool.request`, which only undici's index would add. */
export const sendRequest = (pool: HttpPool, options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> => request.call(pool, options);
