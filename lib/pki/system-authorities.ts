// The authorities that a Linux system trusts, for connections that name none of their own. Our processes run with
// --use-openssl-ca, which spares them the 20 ms and the megabyte that Node's own list costs, so they have to ask for it.
import { existsSync, readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

/** Source: crypto/x509/root_linux.go, Debian and those derived from it. */
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

/** PEM. Where the system has no list, Node's own. */
export const systemAuthorities = (): readonly string[] => (existsSync(BUNDLE) ? [readFileSync(BUNDLE, 'utf8')] : rootCertificates);
