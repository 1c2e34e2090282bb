// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_REFLECTION_ANSWER_H_
#define LOCKHOST_SERVER_SERVICE_REFLECTION_ANSWER_H_

#include <span>
#include <string>

#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace lockhost::server {

// The answer to one question of the reflection protocol: from the .proto files compiled into
// this program, and the full names of the `services` that are served. What is not there is
// answered with an error_response of NOT_FOUND. Thread-safe.
grpc::reflection::v1alpha::ServerReflectionResponse AnswerReflection(
    const grpc::reflection::v1alpha::ServerReflectionRequest& request,
    std::span<const std::string> services);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_REFLECTION_ANSWER_H_
