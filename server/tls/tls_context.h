// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_TLS_TLS_CONTEXT_H_
#define LOCKHOST_SERVER_TLS_TLS_CONTEXT_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace lockhost::server {

struct TlsFiles {
  std::string certificate;  // the server's, with the chain that leads to its CA; PEM
  std::string key;          // its private key, without a passphrase; PEM
  std::string client_ca;    // CAs of the guests' certificates; PEM
  std::string client_crl;   // those CAs' lists of revoked certificates; PEM; empty: none
};

// What the sessions of one server have in common. TLS 1.3 alone; a client without a certificate
// of the CA is refused; HTTP/2 by ALPN; nothing is resumed, so that each connection's
// certificate is checked anew. With lists of revoked certificates each CA must have one that is in
// date, or its guests are refused. Immutable: other files are another context.
class TlsContext {
 public:
  // Reads the files. INVALID_ARGUMENT names the one that cannot be used, and why.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Load(const TlsFiles& files);

  // A session on the server's side, which keeps what it needs of the context; null: no
  // memory. Thread-safe.
  std::unique_ptr<SSL, decltype(&SSL_free)> NewSession() const {
    return {SSL_new(context_.get()), SSL_free};
  }

 private:
  using Handle = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
  explicit TlsContext(Handle context) : context_(std::move(context)) {}

  const Handle context_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_TLS_TLS_CONTEXT_H_
