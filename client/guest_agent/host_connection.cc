// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/host_connection.h"

#include <grpcpp/create_channel_posix.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::guest_agent {
namespace {

grpc::ChannelArguments ChannelSettings() {
  grpc::ChannelArguments arguments;
  // A host that hangs is noticed by its silence: the page's lease says so to the locks,
  // the keepalive to us. Both ends must agree on the pace (server/service/vm_server.cc).
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  // Its probes would wake the host once more for messages of this size.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Each attempt has a connection of its own, so that the pace of attempts is ours.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // What each message would pass through for nothing; it is cold code at each wake-up.
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return arguments;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const TlsFiles& files) {
  if (files.ca.empty()) return grpc::InsecureChannelCredentials();
  const absl::StatusOr<std::string> ca = ReadFile(files.ca);
  if (!ca.ok()) return ca.status();
  const absl::StatusOr<std::string> certificate = ReadFile(files.certificate);
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<std::string> key = ReadFile(files.key);
  if (!key.ok()) return key.status();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *ca;
  options.pem_cert_chain = *certificate;
  options.pem_private_key = *key;
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<HostConnection>> HostConnection::Open(const std::string& target,
                                                                     const TlsFiles& tls) {
  auto connection = std::make_shared<HostConnection>();
  std::shared_ptr<grpc::Channel> channel;
  if (const std::string path = UnixPathOf(target); !path.empty()) {
    auto pipe = HostPipe::Connect(path);
    if (!pipe.ok()) return absl::UnavailableError(pipe.status().message());
    connection->pipe = *std::move(pipe);
    channel = grpc::CreateCustomInsecureChannelFromFd(
        "host", connection->pipe->TakeGrpcEnd().release(), ChannelSettings());
  } else {
    const auto credentials = Credentials(tls);
    if (!credentials.ok()) return absl::UnavailableError(credentials.status().ToString());
    channel = grpc::CreateCustomChannel(target, *credentials, ChannelSettings());
  }
  connection->stub = v1::HintService::NewStub(std::move(channel));
  return connection;
}

}  // namespace lockhost::guest_agent
