// Passwords are kept as bcrypt hashes, as etcd keeps them: users of a snapshot of one can log in at the other. node:crypto
// has no bcrypt. Loaded when the first password comes, as most clusters never see one.

/** Source: etcd --bcrypt-cost, golang.org/x/crypto/bcrypt DefaultCost. */
export const DEFAULT_BCRYPT_COST = 10;

const load = async (): Promise<typeof import('bcryptjs')> => import('bcryptjs');

export async function hashPassword(password: string, cost: number): Promise<string> {
  const { hash } = await load();
  return hash(password, cost);
}

export async function isPassword(password: string, hash: Buffer): Promise<boolean> {
  const { compare } = await load();
  return compare(password, hash.toString('latin1'));
}
