// SPDX-License-Identifier: Apache-2.0
#include "server/service/reflection.h"

#include <utility>

#include "server/service/call_tag.h"
#include "server/service/reflection_answer.h"

namespace lockhost::server {

using grpc::reflection::v1alpha::ServerReflection;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

// Reads a question, answers it, reads the next.
class Reflection::Call final : public CallTag {
 public:
  explicit Call(Reflection* reflection) : reflection_(reflection), stream_(&context_) {
    grpc::ServerCompletionQueue* queue = reflection->server_->queue();
    reflection->service_.RequestServerReflectionInfo(&context_, &stream_, queue, queue, tag());
  }

  void Proceed(bool ok) override {
    if (reflection_->server_->closed()) return delete this;
    switch (step_) {
      case Step::kAccepting:
        if (!ok) return delete this;
        reflection_->AcceptNext();
        return Read();
      case Step::kReading:
        return ok ? Answer() : Finish();  // the client has asked all
      case Step::kWriting:
        return ok ? Read() : Finish();
      case Step::kFinishing:
        delete this;
    }
  }

 private:
  enum class Step { kAccepting, kReading, kWriting, kFinishing };

  void Read() {
    step_ = Step::kReading;
    stream_.Read(&request_, tag());
  }

  void Answer() {
    step_ = Step::kWriting;
    stream_.Write(AnswerReflection(request_, reflection_->services_), tag());
  }

  void Finish() {
    step_ = Step::kFinishing;
    stream_.Finish(grpc::Status::OK, tag());
  }

  Reflection* const reflection_;
  grpc::ServerContext context_;
  ServerReflectionRequest request_;
  grpc::ServerAsyncReaderWriter<ServerReflectionResponse, ServerReflectionRequest> stream_;
  Step step_ = Step::kAccepting;
};

Reflection::Reflection(std::vector<std::string> services, AsyncServer* server)
    : services_(std::move(services)), server_(server) {
  services_.emplace_back(ServerReflection::service_full_name());
}

void Reflection::AcceptNext() { new Call(this); }

}  // namespace lockhost::server
