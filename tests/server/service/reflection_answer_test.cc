// SPDX-License-Identifier: Apache-2.0
#include "server/service/reflection_answer.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockhost::server {
namespace {

using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using testing::Contains;
using testing::ElementsAre;

constexpr char kReflectionFile[] = "grpc/reflection/v1alpha/reflection.proto";

std::vector<std::string> FileNames(const ServerReflectionResponse& response) {
  std::vector<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  return names;
}

int ErrorOf(const ServerReflectionRequest& request) {
  return AnswerReflection(request, {}).error_response().error_code();
}

TEST(ReflectionAnswerTest, ServicesAreThoseThatAreServed) {
  ServerReflectionRequest request;
  request.set_list_services("*");
  const std::vector<std::string> services = {"a.B", "c.D"};
  const auto response = AnswerReflection(request, services);
  ASSERT_EQ(response.list_services_response().service_size(), 2);
  EXPECT_EQ(response.list_services_response().service(0).name(), "a.B");
  EXPECT_EQ(response.list_services_response().service(1).name(), "c.D");
}

TEST(ReflectionAnswerTest, AnAnswerNamesItsQuestion) {
  ServerReflectionRequest request;
  request.set_host("somewhere");
  request.set_file_by_filename("none.proto");
  const auto response = AnswerReflection(request, {});
  EXPECT_EQ(response.valid_host(), "somewhere");
  EXPECT_EQ(response.original_request().file_by_filename(), "none.proto");
}

TEST(ReflectionAnswerTest, AFileIsFoundByItsNameAndBySymbolsOfEveryKind) {
  ServerReflectionRequest request;
  request.set_file_by_filename(kReflectionFile);
  EXPECT_THAT(FileNames(AnswerReflection(request, {})), ElementsAre(kReflectionFile));
  for (const char* symbol : {"grpc.reflection.v1alpha.ServerReflection",
                             "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo",
                             "grpc.reflection.v1alpha.ErrorResponse",
                             "grpc.reflection.v1alpha.ErrorResponse.error_code"}) {
    request.set_file_containing_symbol(symbol);
    EXPECT_THAT(FileNames(AnswerReflection(request, {})), ElementsAre(kReflectionFile)) << symbol;
  }
}

TEST(ReflectionAnswerTest, ImportsComeWithAFile) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol("lockhost.v1.HostService");
  const std::vector<std::string> names = FileNames(AnswerReflection(request, {}));
  EXPECT_EQ(names.front(), "lockhost/v1/host.proto");
  EXPECT_THAT(names, Contains("lockhost/v1/hints.proto"));
}

TEST(ReflectionAnswerTest, ExtensionsOfATypeThatHasNoneAreNone) {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("grpc.reflection.v1alpha.ErrorResponse");
  const auto response = AnswerReflection(request, {});
  EXPECT_TRUE(response.has_all_extension_numbers_response());
  EXPECT_EQ(response.all_extension_numbers_response().extension_number_size(), 0);
}

TEST(ReflectionAnswerTest, WhatIsNotThereIsNotFound) {
  ServerReflectionRequest request;
  request.set_file_by_filename("../etc/passwd");
  EXPECT_EQ(ErrorOf(request), grpc::StatusCode::NOT_FOUND);
  request.set_file_containing_symbol("");
  EXPECT_EQ(ErrorOf(request), grpc::StatusCode::NOT_FOUND);
  request.set_file_containing_symbol(std::string(10'000, '.'));
  EXPECT_EQ(ErrorOf(request), grpc::StatusCode::NOT_FOUND);
  request.set_all_extension_numbers_of_type("no.such.Type");
  EXPECT_EQ(ErrorOf(request), grpc::StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_containing_type("no.such.Type");
  EXPECT_EQ(ErrorOf(request), grpc::StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_containing_type(
      "grpc.reflection.v1alpha.ErrorResponse");
  request.mutable_file_containing_extension()->set_extension_number(-1);
  EXPECT_EQ(ErrorOf(request), grpc::StatusCode::NOT_FOUND);
}

TEST(ReflectionAnswerTest, NoQuestionIsInvalid) {
  EXPECT_EQ(ErrorOf({}), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace lockhost::server
