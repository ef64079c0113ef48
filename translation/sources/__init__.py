"""Sources: chats and instructions in the source language, read in the forms they are published in, checked and cleaned."""
