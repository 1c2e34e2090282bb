// SPDX-License-Identifier: Apache-2.0
//
// A client that speaks TLS and, above it, whatever the test wants.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_TLS_CLIENT_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_TLS_CLIENT_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/unique_fd.h"
#include "tests/server/tls/test_ca.h"

namespace lockhost {

// A blocking connection to the loopback's `port`; invalid: refused.
UniqueFd ConnectTcp(int port);
// The peer has closed, after whatever it has still sent. Waits for that, or 20 s.
bool AwaitClosed(int fd);

class TlsClient {
 public:
  // Shows `files`.
  TlsClient(int port, const CertificateFiles& files);

  bool connected() const { return connected_; }
  // False: the server has closed.
  bool Send(std::string_view bytes);
  // Asks the server for new keys, and sends nothing else.
  bool UpdateKeys();
  bool AwaitClosed() { return lockhost::AwaitClosed(fd_.get()); }

 private:
  UniqueFd fd_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> session_;
  bool connected_ = false;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_TLS_CLIENT_H_
