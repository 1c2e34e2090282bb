// SPDX-License-Identifier: Apache-2.0
#include "server/service/health.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <utility>
#include <vector>

namespace lockhost::server {
namespace {

using google::protobuf::internal::WireFormatLite;

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr size_t kMaxRequestBytes = 1024;

std::string Bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

grpc::ByteBuffer Buffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace

std::optional<std::string> ParseHealthCheckRequest(const std::string& bytes) {
  if (bytes.size() > kMaxRequestBytes) return std::nullopt;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  constexpr uint32_t kServiceTag = 1 << 3 | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  std::string service;
  while (const uint32_t tag = in.ReadTag()) {
    const bool read = tag == kServiceTag ? WireFormatLite::ReadString(&in, &service)
                                         : WireFormatLite::SkipField(&in, tag);
    if (!read) return std::nullopt;
  }
  if (!in.ConsumedEntireMessage()) return std::nullopt;
  return service;
}

std::string HealthCheckResponse(HealthState state) { return {1 << 3, static_cast<char>(state)}; }

// One call of any method: Check, Watch, or one that does not exist. It ends when its
// last operation is through and the call itself is over (`Over`).
class HealthService::Call final : public CallTag {
 public:
  explicit Call(HealthService* health) : health_(health), stream_(&context_), over_(this) {
    context_.AsyncNotifyWhenDone(over_.tag());
    health_->calls_->RequestCall(&context_, &stream_, health_->queue_, health_->queue_, tag());
  }

  void Proceed(bool ok) override {
    const Step step = std::exchange(step_, Step::kIdle);
    // Of a call that was accepted the end (over_) will be told, also where the server is closed.
    if (step == Step::kAccepting && !ok) return delete this;
    if (health_->closed_) return End();
    switch (step) {
      case Step::kAccepting:
        return Accepted();
      case Step::kReading:
        return ok ? Answer(ParseHealthCheckRequest(Bytes(request_)))
                  : Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no request"));
      case Step::kWriting:
        return ok ? Watch() : Finish(grpc::Status::CANCELLED);
      case Step::kIdle:
      case Step::kFinishing:
      case Step::kFinished:
        return End();
    }
  }

  // The state may have changed.
  void Update() {
    if (step_ == Step::kIdle && told_ != State()) Tell();
  }

 private:
  enum class Step { kAccepting, kReading, kWriting, kIdle, kFinishing, kFinished };

  struct Over final : public CallTag {
    explicit Over(Call* call) : call(call) {}
    void Proceed(bool) override {
      here = true;
      if (call->step_ == Step::kFinished) return delete call;
      if (call->step_ == Step::kIdle) call->Finish(grpc::Status::CANCELLED);
    }
    Call* const call;
    bool here = false;
  };

  ~Call() { health_->watching_.erase(this); }

  HealthState State() const {
    if (!health_->Knows(service_)) return HealthState::kServiceUnknown;
    return health_->serving_ ? HealthState::kServing : HealthState::kNotServing;
  }

  void Accepted() {
    health_->AcceptNext();
    if (context_.method() != kCheck && context_.method() != kWatch) {
      return Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no such method"));
    }
    step_ = Step::kReading;
    stream_.Read(&request_, tag());
  }

  void Answer(std::optional<std::string> service) {
    if (!service.has_value()) {
      return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "service: not readable"));
    }
    service_ = *std::move(service);
    if (context_.method() == kWatch) return Tell();
    if (!health_->Knows(service_)) {
      return Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "service: not known"));
    }
    step_ = Step::kFinishing;
    stream_.WriteAndFinish(Buffer(HealthCheckResponse(State())), grpc::WriteOptions(),
                           grpc::Status::OK, tag());
  }

  void Tell() {
    told_ = State();
    step_ = Step::kWriting;
    stream_.Write(Buffer(HealthCheckResponse(told_)), tag());
  }

  // The state is told: stay, as long as it is the state and we are serving.
  void Watch() {
    if (over_.here) return Finish(grpc::Status::CANCELLED);
    if (told_ != State()) return Tell();
    if (!health_->serving_) return Finish(grpc::Status::OK);
    health_->watching_.insert(this);
  }

  void Finish(const grpc::Status& status) {
    if (health_->closed_) return End();
    step_ = Step::kFinishing;
    stream_.Finish(status, tag());
  }

  void End() {
    step_ = Step::kFinished;
    if (over_.here) delete this;
  }

  HealthService* const health_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_;
  grpc::ByteBuffer request_;
  std::string service_;
  HealthState told_ = HealthState::kServiceUnknown;
  Step step_ = Step::kAccepting;
  Over over_;
};

HealthService::HealthService(grpc::AsyncGenericService* calls, grpc::ServerCompletionQueue* queue,
                             std::vector<std::string> service_names)
    : calls_(calls), queue_(queue), service_names_(std::move(service_names)) {
  AcceptNext();
}

HealthService::~HealthService() = default;

void HealthService::AcceptNext() { new Call(this); }

void HealthService::Look() {
  if (std::exchange(told_serving_, serving_.load()) == serving_) return;
  const std::set<Call*> watching = watching_;
  for (Call* call : watching) call->Update();
}

}  // namespace lockhost::server
