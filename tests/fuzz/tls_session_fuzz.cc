// SPDX-License-Identifier: Apache-2.0
//
// What a peer by TCP sends before it is known. Input: the size of the pieces in which it arrives
// (1 byte), whether a real client speaks (1 byte, odd), then for a real client what is done to
// its bytes: where (2 bytes) and how (1 byte, xor), again and again; otherwise all that arrives.
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "server/tls/tls_session.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"
#include "tests/server/tls/test_ca.h"

namespace lockhost::server {
namespace {

constexpr char kName[] = "fc-1.example";
constexpr int kTurns = 4;

// Certificates of both sides, made once.
struct Parties {
  Parties() {
    const agent::TempDir directory;
    const TestCa ca;
    ca.Write(directory.path() + "/ca.pem");
    const CertificateFiles files = ca.Issue(
        directory.path() + "/both",
        {.alternative_names = std::string("DNS:") + kName, .usage = "clientAuth,serverAuth"});
    server = *TlsContext::Load(
        {files.certificate, files.key, directory.path() + "/ca.pem", /*client_crl=*/""});
    SSL_CTX_use_certificate_chain_file(client.get(), files.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(client.get(), files.key.c_str(), SSL_FILETYPE_PEM);
  }

  std::shared_ptr<const TlsContext> server;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> client{SSL_CTX_new(TLS_client_method()),
                                                           SSL_CTX_free};
};

const Parties& TheParties() {
  static const Parties parties;
  return parties;
}

// OpenSSL's client, in memory.
class Client {
 public:
  Client() : session_(SSL_new(TheParties().client.get()), SSL_free) {
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(session_.get(), in_, out_);
    SSL_set_connect_state(session_.get());
  }

  // What it says to what it has heard.
  std::string Turn(const std::string& heard) {
    BIO_write(in_, heard.data(), static_cast<int>(heard.size()));
    if (SSL_do_handshake(session_.get()) == 1) SSL_write(session_.get(), "hello", 5);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(out_, &bytes);
    std::string said(bytes, size > 0 ? static_cast<size_t>(size) : 0);
    BIO_reset(out_);
    return said;
  }

 private:
  BIO* const in_ = BIO_new(BIO_s_mem());
  BIO* const out_ = BIO_new(BIO_s_mem());
  const std::unique_ptr<SSL, decltype(&SSL_free)> session_;
};

class Session {
 public:
  explicit Session(size_t piece)
      : piece_(piece), session_(TlsSession::Accept(*TheParties().server)) {}

  // False: it has ended.
  bool Take(std::string_view bytes) {
    while (!bytes.empty() && !over_) {
      session_->Feed(bytes.substr(0, piece_));
      bytes.remove_prefix(std::min(bytes.size(), piece_));
      Proceed();
    }
    return !over_;
  }
  std::string Answer() {
    std::string answer;
    session_->TakeOutgoing(&answer);
    return answer;
  }

 private:
  void Proceed() {
    if (!done_) {
      const TlsSession::Progress progress = session_->Handshake();
      done_ = progress == TlsSession::Progress::kDone;
      over_ = progress == TlsSession::Progress::kFailed;
      // Whoever gets so far has the key of the one certificate that there is.
      if (done_) FUZZ_CHECK(session_->PeerNames() == std::vector<std::string>{kName});
      if (over_) FUZZ_CHECK(static_cast<size_t>(session_->why()) < kTlsRefusalNames.size());
      return;
    }
    char plain[64];
    const TlsSession::Plain read = session_->Read(plain);
    FUZZ_CHECK(read.bytes <= sizeof(plain));
    over_ = read.over;
  }

  const size_t piece_;
  const std::unique_ptr<TlsSession> session_;
  bool done_ = false;
  bool over_ = false;
};

void Spoil(ByteReader* input, std::string* said) {
  while (!input->empty() && !said->empty()) {
    const uint16_t where = input->Take<uint16_t>();
    const uint8_t how = input->Take<uint8_t>();
    if (how == 0) return;  // the rest is for the next turn
    (*said)[where % said->size()] ^= static_cast<char>(how);
  }
}

}  // namespace
}  // namespace lockhost::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockhost::server;
  lockhost::ByteReader input(data, size);
  Session session(size_t{input.Take<uint8_t>()} * 16 + 1);
  if (input.Take<uint8_t>() % 2 == 0) {
    session.Take(input.TakeRest());
    session.Answer();
    return 0;
  }
  Client client;
  std::string said = client.Turn("");
  for (int turn = 0; turn < kTurns; ++turn) {
    Spoil(&input, &said);
    if (!session.Take(said)) break;
    said = client.Turn(session.Answer());
  }
  return 0;
}
