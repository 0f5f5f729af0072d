# SPDX-License-Identifier: Apache-2.0
add_library(picket_sql STATIC sql.c)
target_link_libraries(picket_sql PUBLIC picket_flags picket_base Threads::Threads)
if(TARGET dep::sqlite3)
  target_link_libraries(picket_sql PRIVATE dep::sqlite3)
else()
  target_link_libraries(picket_sql PRIVATE sqlite3)
endif()
