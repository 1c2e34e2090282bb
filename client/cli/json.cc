// SPDX-License-Identifier: Apache-2.0
#include "client/cli/json.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <string>

namespace lockhost::cli {

absl::Status PrintJson(const google::protobuf::Message& message) {
  std::string json;
  google::protobuf::util::JsonPrintOptions format;
  format.preserve_proto_field_names = true;
  format.always_print_primitive_fields = true;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, format);
  if (!status.ok()) return absl::InternalError(std::string(status.message()));
  printf("%s\n", json.c_str());
  fflush(stdout);
  return absl::OkStatus();
}

}  // namespace lockhost::cli
