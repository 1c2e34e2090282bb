// SPDX-License-Identifier: Apache-2.0
#include "server/tls/tls_context.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {
namespace {

// A list of one protocol, as ALPN has it: length, name.
constexpr std::string_view kHttp2 = "\x02h2";
// Of a client's certificate chain.
constexpr long kMostCertificateBytes = 32 * 1024;

absl::Status Unusable(const char* field, const std::string& path) {
  // The first error is the cause; the later ones say who passed it on.
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat("tls.", field, ": cannot use ", path, ": ",
                                                 reason == nullptr ? "unknown" : reason));
}

// A daemon has nobody to ask for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

int SelectHttp2(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*) {
  unsigned char* selected = nullptr;
  const int result = SSL_select_next_proto(&selected, out_size,
                                           reinterpret_cast<const unsigned char*>(kHttp2.data()),
                                           static_cast<unsigned>(kHttp2.size()), in, in_size);
  *out = selected;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool LoadRevoked(SSL_CTX* context, const std::string& path) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  X509_LOOKUP* const lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
  if (lookup == nullptr || X509_load_crl_file(lookup, path.c_str(), X509_FILETYPE_PEM) < 1) {
    return false;
  }
  // Of the CAs between, too.
  return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

void SetRules(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, SelectHttp2, nullptr);
  SSL_CTX_set_max_cert_list(context, kMostCertificateBytes);
  SSL_CTX_set_default_passwd_cb(context, NoPassphrase);
  // Idle connections are many, and a record's buffers large.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Load(const TlsFiles& files) {
  ERR_clear_error();
  Handle context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return absl::ResourceExhaustedError("no TLS context");
  SetRules(context.get());
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return Unusable("certificate_file", files.certificate);
  }
  // Says so too if it is the key of another certificate.
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Unusable("key_file", files.key);
  }
  if (SSL_CTX_load_verify_locations(context.get(), files.client_ca.c_str(), nullptr) != 1) {
    return Unusable("client_ca_file", files.client_ca);
  }
  if (!files.client_crl.empty() && !LoadRevoked(context.get(), files.client_crl)) {
    return Unusable("client_crl_file", files.client_crl);
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context)));
}

}  // namespace lockhost::server
