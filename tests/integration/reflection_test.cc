// SPDX-License-Identifier: Apache-2.0
//
// A client that has no .proto of ours: asks the admin socket what it serves, and calls it.
#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "lockhost/v1/host.pb.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorProto;
using grpc::reflection::v1alpha::ServerReflection;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using testing::ElementsAre;

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
}

// One stream of questions.
class Questions {
 public:
  explicit Questions(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(ServerReflection::NewStub(channel)) {
    SetDeadline(&context_);
    stream_ = stub_->ServerReflectionInfo(&context_);
  }

  ServerReflectionResponse Ask(const ServerReflectionRequest& request) {
    ServerReflectionResponse response;
    EXPECT_TRUE(stream_->Write(request));
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

  grpc::Status End() {
    stream_->WritesDone();
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<ServerReflection::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<ServerReflectionRequest, ServerReflectionResponse>>
      stream_;
};

class ReflectionTest : public testing::Test {
 protected:
  // Into `pool`, imports first.
  static void Build(const ServerReflectionResponse& response, DescriptorPool* pool) {
    const auto& files = response.file_descriptor_response().file_descriptor_proto();
    for (int i = files.size(); i-- > 0;) {
      FileDescriptorProto file;
      ASSERT_TRUE(file.ParseFromString(files[i]));
      ASSERT_NE(pool->BuildFile(file), nullptr) << file.name();
    }
  }

  TestHost host_;
};

TEST_F(ReflectionTest, ListsWhatTheAdminSocketServes) {
  Questions questions(host_.Connect(host_.AdminSocket()));
  ServerReflectionRequest request;
  request.set_list_services("");
  std::vector<std::string> names;
  const ServerReflectionResponse response = questions.Ask(request);
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(names,
              ElementsAre("lockhost.v1.HostService", "grpc.reflection.v1alpha.ServerReflection"));
  EXPECT_TRUE(questions.End().ok());
}

TEST_F(ReflectionTest, AMethodCanBeCalledByWhatItTells) {
  const auto channel = host_.Connect(host_.AdminSocket());
  Questions questions(channel);
  ServerReflectionRequest request;
  request.set_file_containing_symbol("lockhost.v1.HostService");
  DescriptorPool pool;
  ASSERT_NO_FATAL_FAILURE(Build(questions.Ask(request), &pool));
  const auto* method = pool.FindMethodByName("lockhost.v1.HostService.ListVms");
  ASSERT_NE(method, nullptr);

  grpc::TemplatedGenericStub<google::protobuf::Message, google::protobuf::Message> stub(channel);
  google::protobuf::DynamicMessageFactory factory(&pool);
  const std::unique_ptr<google::protobuf::Message> empty(
      factory.GetPrototype(method->input_type())->New());
  const std::unique_ptr<google::protobuf::Message> answer(
      factory.GetPrototype(method->output_type())->New());
  grpc::ClientContext context;
  SetDeadline(&context);
  grpc::CompletionQueue queue;
  const auto call =
      stub.PrepareUnaryCall(&context, "/lockhost.v1.HostService/ListVms", *empty, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(answer.get(), &status, nullptr);
  void* tag;
  bool ok;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto* vms = method->output_type()->FindFieldByName("vms");
  EXPECT_EQ(answer->GetReflection()->FieldSize(*answer, vms), 1);
}

TEST_F(ReflectionTest, AStreamOutlivesWhatIsNotFound) {
  Questions questions(host_.Connect(host_.AdminSocket()));
  ServerReflectionRequest request;
  request.set_file_by_filename("no/such.proto");
  EXPECT_EQ(questions.Ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_file_by_filename("lockhost/v1/host.proto");
  EXPECT_TRUE(questions.Ask(request).has_file_descriptor_response());
  EXPECT_TRUE(questions.End().ok());
}

TEST_F(ReflectionTest, GuestsAreToldNothing) {
  const auto stub = ServerReflection::NewStub(host_.Connect(host_.VmSocket()));
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = stub->ServerReflectionInfo(&context);
  ServerReflectionResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ReflectionTest, AnIdleStreamDoesNotHoldUpTheEnd) {
  Questions questions(host_.Connect(host_.AdminSocket()));
  ServerReflectionRequest request;
  request.set_list_services("");
  EXPECT_TRUE(questions.Ask(request).has_list_services_response());
  host_.StopServer();
  EXPECT_FALSE(questions.End().ok());
}

}  // namespace
}  // namespace lockhost
