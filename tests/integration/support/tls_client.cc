// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/support/tls_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>

namespace lockhost {

UniqueFd ConnectTcp(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

bool AwaitClosed(int fd) {
  constexpr int kPatienceMs = 20'000;
  pollfd readable = {fd, POLLIN, 0};
  char scratch[4096];
  while (poll(&readable, 1, kPatienceMs) == 1) {
    if (recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT) <= 0) return true;
  }
  return false;
}

TlsClient::TlsClient(int port, const CertificateFiles& files)
    : fd_(ConnectTcp(port)),
      context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
      session_(nullptr, SSL_free) {
  // OpenSSL writes to its socket as if that could not break.
  static const auto ignored = signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  SSL_CTX_use_certificate_chain_file(context_.get(), files.certificate.c_str());
  SSL_CTX_use_PrivateKey_file(context_.get(), files.key.c_str(), SSL_FILETYPE_PEM);
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context_.get(), kHttp2, sizeof(kHttp2));
  session_.reset(SSL_new(context_.get()));
  SSL_set_fd(session_.get(), fd_.get());
  connected_ = fd_.valid() && SSL_connect(session_.get()) == 1;
}

bool TlsClient::Send(std::string_view bytes) {
  return SSL_write(session_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool TlsClient::UpdateKeys() {
  return SSL_key_update(session_.get(), SSL_KEY_UPDATE_REQUESTED) == 1 &&
         SSL_do_handshake(session_.get()) == 1;
}

}  // namespace lockhost
