// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_TLS_CERTIFICATE_NAMES_H_
#define LOCKHOST_SERVER_TLS_CERTIFICATE_NAMES_H_

#include <openssl/x509.h>

#include <string>
#include <string_view>
#include <vector>

namespace lockhost::server {

// Whom a certificate names: the DNS names (in lower case) and URIs of its subject alternative
// names. The subject's common name is none: RFC 9110, section 4.3.4, has done away with it.
std::vector<std::string> NamesOf(const X509* certificate);

// A DNS name in lower case or a URI, as it stands for itself; empty: it is neither. What looks
// like a URI cannot come in as a DNS name, wildcards name nobody, and bytes that could end a
// text early are in neither.
enum class NameKind { kDns, kUri };
std::string CanonicalName(NameKind kind, std::string_view name);
// The same for a name of which the kind is not told, in a configuration.
std::string CanonicalName(std::string_view name);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_TLS_CERTIFICATE_NAMES_H_
