# SPDX-License-Identifier: Apache-2.0
# Where outside libraries are found. One imported target per library, linked only by its door (architecture.md).
#
#   dep::nanopb  dep::mbedtls  dep::yyjson  dep::lmdb  dep::curl  dep::microhttpd_plain      built by cross/deps
#   dep::zlib  dep::paho  dep::yaml           Debian's -dev packages; for a target (cross/build) by cross/deps too
#   dep::microhttpd  dep::sqlite3  dep::md4c  Debian's -dev packages; what needs them is not built for a target
#
# cross/deps runs here when its cache is empty, so that `cmake --preset dev` on a new machine is one command.
# Third-party code needs no sanitizer: it is linked as it is, except nanopb's runtime, which we compile.

set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cross/deps)
# One build serves all presets: it is made by the machine's cc, whichever compiler (clang to fuzz) builds our code.
# For a target (cross/build), its compiler is in the same folder.
set(deps_result 0)
if(NOT PICKET_TARGET)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=CC ${CMAKE_SOURCE_DIR}/cross/deps
    OUTPUT_VARIABLE PICKET_DEPS_DIR OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE deps_result)
endif()
if(NOT deps_result EQUAL 0)
  message(FATAL_ERROR "The outside libraries could not be built. What failed is said above; to install what the "
    "build needs run 'platforms/linux/packages build', then 'cross/deps' shows the building alone.")
endif()

# Debian's python3, with Debian's python3-protobuf beside it: another python3 on the PATH would not have it.
set(PICKET_PYTHON /usr/bin/python3)
find_program(PICKET_PROTOC protoc)
set(PICKET_NANOPB_DIR ${PICKET_DEPS_DIR}/nanopb)
set(PICKET_NANOPB_GENERATOR ${PICKET_NANOPB_DIR}/generator/nanopb_generator.py)
foreach(tool PICKET_PYTHON PICKET_PROTOC)
  if(NOT EXISTS "${${tool}}")
    message(FATAL_ERROR "${tool} is missing: run 'platforms/linux/packages build', then configure again.")
  endif()
endforeach()

# picket_dep(name library include DEPS ...): dep::name from one file and one folder.
function(picket_dep name library include)
  cmake_parse_arguments(arg "" "" "DEPS;DEFINES" ${ARGN})
  if(NOT EXISTS "${library}" OR NOT EXISTS "${include}")
    message(FATAL_ERROR "dep::${name} is missing (library '${library}', headers '${include}'): run "
      "'platforms/linux/packages build' and 'cross/deps', then configure again.")
  endif()
  add_library(dep::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(dep::${name} PROPERTIES IMPORTED_LOCATION "${library}")
  # A header folder of the system is never named: gcc would then search it before its own.
  if(NOT include STREQUAL "/usr/include")
    target_include_directories(dep::${name} SYSTEM INTERFACE "${include}")
  endif()
  target_link_libraries(dep::${name} INTERFACE ${arg_DEPS})
  target_compile_definitions(dep::${name} INTERFACE ${arg_DEFINES})
endfunction()

# debian_dep(name header library...): dep::name from a -dev package; the first library file that is there is taken.
function(debian_dep name header)
  cmake_parse_arguments(arg "" "" "LIBRARY;DEPS" ${ARGN})
  find_path(${name}_INCLUDE ${header})
  find_library(${name}_LIBRARY NAMES ${arg_LIBRARY})
  mark_as_advanced(${name}_INCLUDE ${name}_LIBRARY)
  picket_dep(${name} "${${name}_LIBRARY}" "${${name}_INCLUDE}" DEPS ${arg_DEPS})
endfunction()

# nanopb: with field sizes of 32 bits, over buffers only (no call per byte), and -O3: twice the speed of -O2. Code that
# includes its header has the same definitions.
# nanopb: its generator lays the structs out and its pb.h gives them their types; the wire is walked by our own rows
# (common/codec/README.md says why), so its runtime is not linked.
add_library(picket_nanopb INTERFACE)
target_include_directories(picket_nanopb SYSTEM INTERFACE ${PICKET_NANOPB_DIR})
target_compile_definitions(picket_nanopb INTERFACE PB_FIELD_32BIT)
add_library(dep::nanopb ALIAS picket_nanopb)

if(PICKET_TARGET)
  picket_dep(zlib ${PICKET_DEPS_DIR}/zlib/lib/libz.a ${PICKET_DEPS_DIR}/zlib/include)
  picket_dep(yaml ${PICKET_DEPS_DIR}/yaml/lib/libyaml.a ${PICKET_DEPS_DIR}/yaml/include)
  picket_dep(paho ${PICKET_DEPS_DIR}/paho/lib/libpaho-mqtt3a.a ${PICKET_DEPS_DIR}/paho/include DEPS Threads::Threads)
else()
  debian_dep(zlib zlib.h LIBRARY libz.a)
  debian_dep(yaml yaml.h LIBRARY libyaml.a)
  debian_dep(paho MQTTAsync.h LIBRARY libpaho-mqtt3a.a DEPS Threads::Threads)
  debian_dep(microhttpd microhttpd.h LIBRARY microhttpd)
  debian_dep(sqlite3 sqlite3.h LIBRARY sqlite3)
  debian_dep(md4c md4c.h LIBRARY md4c)
endif()
picket_dep(mbedcrypto ${PICKET_DEPS_DIR}/mbedtls/lib/libmbedcrypto.a ${PICKET_DEPS_DIR}/mbedtls/include DEPS Threads::Threads)
picket_dep(mbedx509 ${PICKET_DEPS_DIR}/mbedtls/lib/libmbedx509.a ${PICKET_DEPS_DIR}/mbedtls/include DEPS dep::mbedcrypto)
picket_dep(mbedtls ${PICKET_DEPS_DIR}/mbedtls/lib/libmbedtls.a ${PICKET_DEPS_DIR}/mbedtls/include DEPS dep::mbedx509)
picket_dep(yyjson ${PICKET_DEPS_DIR}/yyjson/lib/libyyjson.a ${PICKET_DEPS_DIR}/yyjson/include DEPS m)
picket_dep(lmdb ${PICKET_DEPS_DIR}/lmdb/lib/liblmdb.a ${PICKET_DEPS_DIR}/lmdb/include DEPS Threads::Threads)
picket_dep(curl ${PICKET_DEPS_DIR}/curl/lib/libcurl.a ${PICKET_DEPS_DIR}/curl/include
  DEPS dep::mbedtls dep::zlib Threads::Threads DEFINES CURL_STATICLIB)
picket_dep(microhttpd_plain ${PICKET_DEPS_DIR}/microhttpd/lib/libmicrohttpd.a ${PICKET_DEPS_DIR}/microhttpd/include
  DEPS Threads::Threads)

