// SPDX-License-Identifier: Apache-2.0
#include "server/tls/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <utility>

#include "server/tls/certificate_names.h"

namespace lockhost::server {

std::unique_ptr<TlsSession> TlsSession::Accept(const TlsContext& context) {
  Handle session = context.NewSession();
  BIO* const from_peer = BIO_new(BIO_s_mem());
  BIO* const to_peer = BIO_new(BIO_s_mem());
  if (session == nullptr || from_peer == nullptr || to_peer == nullptr) {
    BIO_free(from_peer);
    BIO_free(to_peer);
    return nullptr;
  }
  // Empty means "later", not "over".
  BIO_set_mem_eof_return(from_peer, -1);
  SSL_set_bio(session.get(), from_peer, to_peer);
  SSL_set_accept_state(session.get());
  return std::unique_ptr<TlsSession>(new TlsSession(std::move(session), from_peer, to_peer));
}

void TlsSession::Feed(std::string_view bytes) {
  BIO_write(from_peer_, bytes.data(), static_cast<int>(bytes.size()));
}

void TlsSession::TakeOutgoing(std::string* outgoing) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(to_peer_, &bytes);
  if (size <= 0) return;
  outgoing->append(bytes, static_cast<size_t>(size));
  BIO_reset(to_peer_);
}

TlsSession::Progress TlsSession::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_.get());
  if (result == 1) return Progress::kDone;
  if (SSL_get_error(session_.get(), result) == SSL_ERROR_WANT_READ) return Progress::kWantsMore;
  why_ = Reason();
  ERR_clear_error();
  return Progress::kFailed;
}

TlsRefusal TlsSession::Reason() const {
  switch (SSL_get_verify_result(session_.get())) {
    case X509_V_OK:
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return TlsRefusal::kExpired;
    case X509_V_ERR_CERT_REVOKED:
      return TlsRefusal::kRevoked;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return TlsRefusal::kNoList;
    default:
      return TlsRefusal::kBadCertificate;
  }
  const unsigned long error = ERR_peek_last_error();
  const bool no_certificate = ERR_GET_LIB(error) == ERR_LIB_SSL &&
                              ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
  return no_certificate ? TlsRefusal::kNoCertificate : TlsRefusal::kHandshake;
}

std::vector<std::string> TlsSession::PeerNames() const {
  const X509* certificate = SSL_get0_peer_certificate(session_.get());
  return certificate == nullptr ? std::vector<std::string>() : NamesOf(certificate);
}

TlsSession::Plain TlsSession::Read(std::span<char> into) {
  ERR_clear_error();
  Plain plain;
  while (plain.bytes < into.size()) {
    const std::span<char> room = into.subspan(plain.bytes);
    const int read = SSL_read(session_.get(), room.data(), static_cast<int>(room.size()));
    if (read <= 0) {
      plain.over = SSL_get_error(session_.get(), read) != SSL_ERROR_WANT_READ;
      break;
    }
    plain.bytes += static_cast<size_t>(read);
  }
  ERR_clear_error();
  return plain;
}

bool TlsSession::HasMore() const {
  return SSL_has_pending(session_.get()) == 1 || BIO_ctrl_pending(from_peer_) > 0;
}

bool TlsSession::Write(std::string_view text) {
  ERR_clear_error();
  const int written = SSL_write(session_.get(), text.data(), static_cast<int>(text.size()));
  ERR_clear_error();
  return written == static_cast<int>(text.size());
}

}  // namespace lockhost::server
