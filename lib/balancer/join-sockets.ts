// One connection made of two: what comes in on one goes out on the other.
import type { Socket } from 'node:net';

/** Byte for byte, each direction until its end; when one breaks, so does the other. Both must be allowed to be half open. */
export function joinSockets(left: Socket, right: Socket): void {
  left.pipe(right).pipe(left);
  const end = (): void => {
    left.destroy();
    right.destroy();
  };
  for (const socket of [left, right]) socket.on('error', end).on('close', end);
}
