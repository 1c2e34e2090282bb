// SPDX-License-Identifier: Apache-2.0
//
// grpc.health.v1 on every server, by bytes: no package has its stubs.
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "lockhost/v1/hints.grpc.pb.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

// HealthCheckResponse: field 1, SERVING, NOT_SERVING or SERVICE_UNKNOWN.
const std::string kServing = "\x08\x01";
const std::string kNotServing = "\x08\x02";
const std::string kUnknown = "\x08\x03";

grpc::ByteBuffer Request(const std::string& service) {
  const std::string bytes =
      service.empty() ? "" : std::string("\x0a") + static_cast<char>(service.size()) + service;
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& each : slices) {
    text.append(reinterpret_cast<const char*>(each.begin()), each.size());
  }
  return text;
}

// One call of the health service; each step waits until it is through.
class HealthCall {
 public:
  HealthCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
             const std::string& service)
      : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    call_ = stub_.PrepareCall(&context_, "/grpc.health.v1.Health/" + method, &queue_);
    call_->StartCall(nullptr);
    Wait();
    call_->WriteLast(Request(service), {}, nullptr);
    Wait();
  }

  // The next response; empty: the stream has ended.
  std::string Read() {
    grpc::ByteBuffer response;
    call_->Read(&response, nullptr);
    return Wait() ? Text(response) : "";
  }

  grpc::StatusCode End() {
    grpc::Status status;
    call_->Finish(&status, nullptr);
    Wait();
    return status.error_code();
  }

  void Cancel() { context_.TryCancel(); }

 private:
  bool Wait() {
    void* tag;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

class HealthTest : public testing::Test {
 protected:
  // Where each service is served.
  std::vector<std::pair<std::string, std::string>> Served() const {
    return {{host_.VmSocket(), ""},
            {host_.VmSocket(), "lockhost.v1.HintService"},
            {host_.AdminSocket(), ""},
            {host_.AdminSocket(), "lockhost.v1.HostService"},
            {host_.AdminSocket(), "grpc.reflection.v1alpha.ServerReflection"}};
  }

  TestHost host_;
};

TEST_F(HealthTest, EachServiceIsServingWhereItIsServed) {
  for (const auto& [socket, service] : Served()) {
    HealthCall check(host_.Connect(socket), "Check", service);
    EXPECT_EQ(check.Read(), kServing) << socket << " " << service;
    EXPECT_EQ(check.End(), grpc::StatusCode::OK);
  }
}

TEST_F(HealthTest, AServiceOfAnotherSocketIsNotKnown) {
  HealthCall check(host_.Connect(host_.VmSocket()), "Check", "lockhost.v1.HostService");
  EXPECT_EQ(check.Read(), "");
  EXPECT_EQ(check.End(), grpc::StatusCode::NOT_FOUND);
  HealthCall watch(host_.Connect(host_.AdminSocket()), "Watch", "lockhost.v1.HintService");
  EXPECT_EQ(watch.Read(), kUnknown);
  watch.Cancel();
  EXPECT_EQ(watch.End(), grpc::StatusCode::CANCELLED);
}

TEST_F(HealthTest, WhoWatchesIsToldBeforeTheDrain) {
  std::vector<std::unique_ptr<HealthCall>> watches;
  for (const auto& [socket, service] : Served()) {
    watches.push_back(std::make_unique<HealthCall>(host_.Connect(socket), "Watch", service));
    EXPECT_EQ(watches.back()->Read(), kServing) << socket << " " << service;
  }
  std::thread stop([this] { host_.StopServer(); });
  for (const auto& watch : watches) {
    EXPECT_EQ(watch->Read(), kNotServing);
    EXPECT_EQ(watch->Read(), "");
    EXPECT_EQ(watch->End(), grpc::StatusCode::OK);
  }
  stop.join();
}

TEST_F(HealthTest, StreamsEndOnlyAfterHealthHasSaidSo) {
  // Both on one queue, which keeps the order in which they came.
  const auto channel = host_.Connect(host_.VmSocket());
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) ? std::pair(tag, ok) : std::pair<void*, bool>(nullptr, false);
  };
  grpc::ClientContext health_context;
  grpc::GenericStub stub(channel);
  const auto health = stub.PrepareCall(&health_context, "/grpc.health.v1.Health/Watch", &queue);
  health->StartCall(&health_context);
  next();
  health->WriteLast(Request(""), {}, &health_context);
  next();
  grpc::ByteBuffer state;
  health->Read(&state, &health_context);
  next();
  ASSERT_EQ(Text(state), kServing);
  grpc::ClientContext context;
  v1::WatchHintsRequest request;
  request.set_protocol_version(1);
  const auto stub_of_hints = v1::HintService::NewStub(channel);
  const auto hints = stub_of_hints->AsyncWatchHints(&context, request, &queue, &context);
  next();
  v1::WatchHintsResponse message;
  hints->Read(&message, &context);
  next();  // it has been accepted: gRPC cancels what has not when a server stops

  health->Read(&state, &health_context);
  hints->Read(&message, &context);
  std::thread stop([this] { host_.StopServer(); });
  bool told = false;
  for (;;) {
    const auto [tag, ok] = next();
    if (tag == &health_context) {
      told = true;
      EXPECT_EQ(Text(state), kNotServing);
    } else if (ok) {
      hints->Read(&message, &context);
    } else {
      break;
    }
  }
  EXPECT_TRUE(told);
  stop.join();
  grpc::Status status;
  hints->Finish(&status, &context);
  next();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  health->Finish(&status, &health_context);
  next();
}

// gRPC still has the operations of those that are accepted after the streams were ended.
TEST(StopTest, StreamsThatComeMeanwhileDoNoHarm) {
  for (int round = 0; round < 25; ++round) {
    TestHost host;
    const auto stub = v1::HintService::NewStub(host.Connect(host.VmSocket()));
    v1::WatchHintsRequest request;
    request.set_protocol_version(1);
    struct Stream {
      grpc::ClientContext context;
      std::unique_ptr<grpc::ClientReader<v1::WatchHintsResponse>> reader;
    };
    std::vector<std::unique_ptr<Stream>> streams;
    std::atomic<bool> stopped = false;
    std::thread guest([&] {
      while (!stopped && streams.size() < 200) {
        streams.push_back(std::make_unique<Stream>());
        streams.back()->reader = stub->WatchHints(&streams.back()->context, request);
      }
    });
    // At another moment each round: what is tried is a race.
    std::this_thread::sleep_for(std::chrono::microseconds(200 * round));
    host.StopServer();
    stopped = true;
    guest.join();
    for (const auto& stream : streams) {
      stream->context.TryCancel();
      EXPECT_FALSE(stream->reader->Finish().ok());
    }
  }
}

}  // namespace
}  // namespace lockhost
