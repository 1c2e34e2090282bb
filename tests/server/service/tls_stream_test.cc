// SPDX-License-Identifier: Apache-2.0
#include "server/service/tls_stream.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/agent/support/temp_dir.h"
#include "tests/server/tls/test_ca.h"

namespace lockhost::server {
namespace {

constexpr size_t kPortionBytes = 16 * 1024;

// A stream and its peer, OpenSSL's client, at the two ends of a socket pair; one thread.
class TlsStreamTest : public testing::Test {
 protected:
  TlsStreamTest() {
    const TestCa ca;
    ca.Write(directory_.path() + "/ca.pem");
    const CertificateFiles server = ca.Issue(directory_.path() + "/server", {});
    const CertificateFiles client = ca.Issue(
        directory_.path() + "/client", {.alternative_names = "DNS:fc-1.example,DNS:also.example"});
    const auto context =
        TlsContext::Load({server.certificate, server.key, directory_.path() + "/ca.pem", ""});
    EXPECT_TRUE(context.ok()) << context.status();
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    stream_ = std::make_unique<TlsStream>(UniqueFd(fds[0]), TlsSession::Accept(**context));
    peer_fd_.reset(fds[1]);
    SSL_CTX_use_certificate_chain_file(context_.get(), client.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), client.key.c_str(), SSL_FILETYPE_PEM);
    peer_.reset(SSL_new(context_.get()));
    SSL_set_fd(peer_.get(), peer_fd_.get());
  }

  // Both sides in turn; the peer says `first` in the flight that ends its handshake.
  void Shake(const std::string& first = "") {
    TlsSession::Progress progress = TlsSession::Progress::kWantsMore;
    bool said = first.empty();
    for (int turn = 0; turn < 10 && progress == TlsSession::Progress::kWantsMore; ++turn) {
      if (SSL_connect(peer_.get()) == 1 && !std::exchange(said, true)) Say(first);
      progress = stream_->Handshake();
    }
    ASSERT_EQ(progress, TlsSession::Progress::kDone);
  }

  void Say(const std::string& text) {
    ASSERT_EQ(SSL_write(peer_.get(), text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
  }

  // What the peer can read now.
  std::string Hear() {
    std::string all;
    std::array<char, 4096> some;
    for (int got; (got = SSL_read(peer_.get(), some.data(), some.size())) > 0;) {
      all.append(some.data(), static_cast<size_t>(got));
    }
    return all;
  }

  std::string Receive() {
    const PeerStream::Received got = stream_->Receive(portion_);
    overhead_bytes_ = got.overhead_bytes;
    over_ = got.over;
    return std::string(portion_.data(), got.bytes);
  }

  agent::TempDir directory_;
  std::unique_ptr<TlsStream> stream_;
  UniqueFd peer_fd_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> peer_{nullptr, SSL_free};
  std::array<char, kPortionBytes> portion_;
  size_t overhead_bytes_ = 0;
  bool over_ = false;
};

TEST_F(TlsStreamTest, KnowsItsPeerByTheNamesOfItsCertificate) {
  Shake();
  EXPECT_EQ(stream_->PeerNames(), (std::vector<std::string>{"fc-1.example", "also.example"}));
}

TEST_F(TlsStreamTest, BytesGoBothWays) {
  Shake();
  EXPECT_EQ(Receive(), "");
  Say("from the peer");
  EXPECT_EQ(Receive(), "from the peer");
  EXPECT_GT(overhead_bytes_, 0u);
  std::string text = "to the peer";
  EXPECT_TRUE(stream_->Send(&text));
  EXPECT_EQ(text, "");
  EXPECT_EQ(Hear(), "to the peer");
}

TEST_F(TlsStreamTest, WhatCameWithTheHandshakeIsNotForgotten) {
  Shake("at once");
  EXPECT_TRUE(stream_->HasMore());
  EXPECT_EQ(Receive(), "at once");
  EXPECT_FALSE(stream_->HasMore());
}

TEST_F(TlsStreamTest, APeerThatDoesNotReadGetsAllOfItInOrderLater) {
  Shake();
  std::string sent;
  std::string text;
  for (int i = 0; i < 1000 && text.empty(); ++i) {
    text = std::string(kPortionBytes, static_cast<char>('a' + i % 26));
    sent += text;
    ASSERT_TRUE(stream_->Send(&text));
  }
  ASSERT_FALSE(text.empty()) << "the socket has taken everything";
  std::string heard;
  for (int i = 0; i < 1000 && heard.size() < sent.size(); ++i) {
    heard += Hear();
    ASSERT_TRUE(stream_->Send(&text));
  }
  EXPECT_EQ(text, "");
  EXPECT_TRUE(heard == sent);
}

TEST_F(TlsStreamTest, APeerThatGoesIsOver) {
  Shake();
  SSL_shutdown(peer_.get());
  EXPECT_EQ(Receive(), "");
  EXPECT_TRUE(over_);
}

TEST_F(TlsStreamTest, ABrokenRecordIsTheEnd) {
  Shake();
  const std::string garbage(64, 'x');
  ASSERT_EQ(send(peer_fd_.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 64);
  EXPECT_EQ(Receive(), "");
  EXPECT_TRUE(over_);
}

}  // namespace
}  // namespace lockhost::server
