// SPDX-License-Identifier: Apache-2.0
#include "server/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "server/daemon/options.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string ErrorOf(const std::string& text) {
  const auto config = ParseConfig(text);
  EXPECT_FALSE(config.ok()) << text;
  EXPECT_TRUE(config.ok() || absl::IsInvalidArgument(config.status()));
  return std::string(config.status().message());
}

TEST(ConfigTest, WhatIsNotSaidHasItsDefault) {
  const auto config = ParseConfig("# nothing but\nlease_ms: 5000\nmetrics_address: ''\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->lease_ms(), 5000u);
  EXPECT_EQ(config->metrics_address(), "");
  EXPECT_EQ(config->heartbeat_ms(), 1000u);
}

TEST(ConfigTest, TheDefaultsKeepToTheRules) {
  EXPECT_TRUE(ParseConfig("").ok());
  EXPECT_TRUE(CheckConfig(Config()).ok());
}

TEST(ConfigTest, TheDefaultsAreThoseOfTheParts) {
  const Daemon::Options options = OptionsFrom(Config());
  const Daemon::Options parts;
  EXPECT_EQ(options.vm.connections, parts.vm.connections);
  EXPECT_EQ(options.vm.grpc, parts.vm.grpc);
  EXPECT_EQ(options.vm.max_streams, parts.vm.max_streams);
  EXPECT_EQ(options.vm.socket_mode, parts.vm.socket_mode);
  EXPECT_EQ(options.drain_ns, parts.drain_ns);
  EXPECT_EQ(options.tls.limits, parts.tls.limits);
}

TEST(ConfigTest, AnErrorNamesLineAndField) {
  EXPECT_THAT(ErrorOf("lease_ms: 3000\nlaese_ms: 1\n"), StartsWith("2:"));
  EXPECT_THAT(ErrorOf("lease_ms: 3000\nlaese_ms: 1\n"), HasSubstr("laese_ms"));
  EXPECT_EQ(ErrorOf("\n\n  lease_ms: 1\n"), "3:3: lease_ms: must be from 100 to 60000");
  EXPECT_EQ(ErrorOf("lease_ms: 1000\nheartbeat_ms: 501"),
            "2:1: heartbeat_ms: must be at most half of lease_ms");
  EXPECT_EQ(ErrorOf("lease_ms: 1000"), "heartbeat_ms: must be at most half of lease_ms");
  EXPECT_THAT(ErrorOf("socket_mode: 'rw'"), StartsWith("1:1: socket_mode: must be octal"));
  EXPECT_THAT(ErrorOf("socket_mode: '01777'"), HasSubstr("socket_mode"));
  EXPECT_EQ(ErrorOf("\nhybrid_vsock { vm: 'a' }"), "2:1: hybrid_vsock: needs vm and path");
  EXPECT_EQ(ErrorOf("\ntls { address: '[::]:9465' }"),
            "2:1: tls: needs address, certificate_file, key_file and client_ca_file");
  EXPECT_THAT(ErrorOf("connections: -1"), StartsWith("1:"));
  EXPECT_THAT(ErrorOf("connections: 1 connections: 2"), HasSubstr("connections"));
  EXPECT_THAT(ErrorOf("connections"), StartsWith("1:"));
}

TEST(ConfigTest, ACertificateNameStandsForOneVm) {
  const auto with = [](const std::string& guests) {
    return "tls { address: 'a' certificate_file: 'b' key_file: 'c' client_ca_file: 'd' " + guests +
           "}";
  };
  EXPECT_TRUE(ParseConfig(with("guest { certificate_name: 'a.example' vm: 'fc-1' }"
                               "guest { certificate_name: 'spiffe://b' vm: 'fc-1' }"))
                  .ok());
  EXPECT_THAT(ErrorOf(with("guest { certificate_name: 'a.example' vm: 'fc-1' }"
                           "guest { certificate_name: 'A.example' vm: 'fc-2' }")),
              HasSubstr("two have the certificate_name a.example"));
  for (const char* guest : {"guest {}", "guest { vm: 'fc-1' }", "guest { certificate_name: 'a' }",
                            "guest { certificate_name: '*.example' vm: 'fc-1' }"}) {
    EXPECT_THAT(ErrorOf(with(guest)), HasSubstr("guest: needs")) << guest;
  }
}

TEST(ConfigTest, GuestdsKeepaliveCannotBeForbidden) {
  EXPECT_THAT(ErrorOf("least_ping_interval_ms: 10001"), HasSubstr("least_ping_interval_ms"));
}

TEST(ConfigTest, AFilesErrorsBeginWithItsPath) {
  agent::TempDir directory;
  const std::string path = directory.path() + "/lockhostd.conf";
  EXPECT_TRUE(absl::IsNotFound(ReadConfig(path).status()));
  std::ofstream(path) << "connections: 0\n";
  const absl::Status error = ReadConfig(path).status();
  EXPECT_TRUE(absl::IsInvalidArgument(error));
  EXPECT_EQ(error.message(), path + ":1:1: connections: must be from 1 to 1024");
}

TEST(ConfigTest, ChangesAreToldApartByWhenTheyTakeEffect) {
  const Config from;
  Config to;
  to.set_run_dir("/elsewhere");
  to.set_silence_ms(1000);
  to.set_idle_ms(1000);
  to.set_connections(from.connections());  // said, but the same
  EXPECT_THAT(ChangedFields(from, to, EFFECT_NOW), ElementsAre("silence_ms"));
  EXPECT_THAT(ChangedFields(from, to, EFFECT_NEW_VMS), ElementsAre("idle_ms"));
  EXPECT_THAT(ChangedFields(from, to, EFFECT_RESTART), ElementsAre("run_dir"));
  to.add_hybrid_vsock()->set_vm("a");
  to.mutable_tls()->set_key_file("k");
  EXPECT_THAT(ChangedFields(from, to, EFFECT_NOW), ElementsAre("tls", "silence_ms"));
  EXPECT_THAT(ChangedFields(from, to, EFFECT_RESTART), ElementsAre("run_dir", "hybrid_vsock"));
  to.mutable_tls()->set_address("[::1]:1");
  EXPECT_THAT(ChangedFields(from, to, EFFECT_RESTART),
              ElementsAre("run_dir", "hybrid_vsock", "tls.address"));
}

std::string DefaultOf(const google::protobuf::FieldDescriptor* field) {
  if (field->is_repeated() || field->message_type() != nullptr) return "none";
  if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32) {
    return std::to_string(field->default_value_uint32());
  }
  const std::string text = field->default_value_string();
  return text.empty() ? "empty" : "`" + text + "`";
}

// The beginning of the field's row in server/README.md.
std::string RowOf(const google::protobuf::FieldDescriptor* field) {
  const Rule& limits = field->options().GetExtension(rule);
  const char* effects[] = {"restart", "now", "new VMs"};
  std::string row = "| `" + field->name() + "` | " + DefaultOf(field) + " | ";
  if (limits.has_max()) {
    row += std::to_string(limits.min()) + " to " + std::to_string(limits.max());
  }
  return row + " | " + effects[limits.effect()] + " | ";
}

TEST(ConfigTest, TheReadmeHasEveryField) {
  std::ifstream in(LOCKHOST_SERVER_README);
  const std::string readme{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  for (int i = 0; i < Config::descriptor()->field_count(); ++i) {
    EXPECT_THAT(readme, HasSubstr("\n" + RowOf(Config::descriptor()->field(i))));
  }
}

}  // namespace
}  // namespace lockhost::server
