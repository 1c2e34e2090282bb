// SPDX-License-Identifier: Apache-2.0
#include "tests/load/support/hostile_peers.h"

#include <poll.h>

#include <chrono>
#include <utility>
#include <vector>

#include "tests/integration/support/raw_http2.h"

namespace lockhost::load {
namespace {

using std::chrono::steady_clock;

constexpr char kWatchPath[] = "/lockhost.v1.HintService/WatchHints";
constexpr char kReportPath[] = "/lockhost.v1.HintService/ReportHolders";
constexpr int kStormConnections = 200;
constexpr std::chrono::milliseconds kStay{150};
constexpr uint32_t kActions = 8;

// A gRPC message of WatchHintsRequest with protocol_version 1.
std::string WatchRequest() { return std::string("\0\0\0\0\x02\x08\x01", 7); }

}  // namespace

HostilePeers::HostilePeers(std::string socket, uint32_t seed)
    : socket_(std::move(socket)), random_(seed), thread_([this] { Run(); }) {}

void HostilePeers::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void HostilePeers::Run() {
  while (!stop_) Act(static_cast<uint32_t>(random_() % kActions));
}

void HostilePeers::Act(uint32_t action) {
  const std::string hello = ClientHello();
  switch (action) {
    case 0:  // silent
      return Stay("", false);
    case 1:  // half-open: part of the greeting
      return Stay(hello.substr(0, random_() % hello.size()), false);
    case 2:  // a stream whose guest does not read
      return Stay(hello + Frame(FrameType::kHeaders, kEndHeaders, 1, CallHeaders(kWatchPath)) +
                      Frame(FrameType::kData, kEndStream, 1, WatchRequest()),
                  true);
    case 3:  // garbage from the begin
      return Stay(Garbage(4096), false);
    case 4:  // garbage in frames' place
      return Stay(hello + Garbage(4096), false);
    case 5: {  // a frame cut off
      const std::string call = Frame(FrameType::kHeaders, kEndHeaders, 1, CallHeaders(kReportPath));
      return Stay(hello + call.substr(0, random_() % call.size()), false);
    }
    case 6:  // more than a frame may have
      return Stay(hello + Frame(FrameType::kData, 0, 1, Garbage(100'000)), false);
    default:
      return Storm();
  }
}

void HostilePeers::Stay(const std::string& bytes, bool deaf) {
  ++attempts_;
  RawConnection connection(socket_);
  if (!connection.connected()) {
    poll(nullptr, 0, 1);
    return;
  }
  ++connections_;
  const auto end = steady_clock::now() + kStay;
  bool open = bytes.empty() || connection.Send(bytes, deaf);
  while (open && !stop_ && steady_clock::now() < end) {
    poll(nullptr, 0, 5);
    open = deaf || !connection.Closed();
  }
}

void HostilePeers::Storm() {
  std::vector<RawConnection> held;
  for (int i = 0; i < kStormConnections && !stop_; ++i) {
    ++attempts_;
    RawConnection connection(socket_);
    if (!connection.connected()) continue;
    ++connections_;
    held.push_back(std::move(connection));
  }
}

std::string HostilePeers::Garbage(size_t bytes) {
  std::string garbage(bytes, '\0');
  for (char& byte : garbage) byte = static_cast<char>(random_() >> 8);
  return garbage;
}

}  // namespace lockhost::load
